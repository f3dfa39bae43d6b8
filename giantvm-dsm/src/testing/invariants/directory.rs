//! *Directory agreement*: the home knows every node that has the page mapped; when no transaction
//! of the page is under way, it knows exactly those, and which of them may write.

use giantvm_core::{NodeSet, PageIndex};

use super::World;
use crate::protocol::Rights;
use crate::testing::Inspect;

pub(super) fn check<P: Inspect>(world: &World<'_, P>, page: PageIndex) -> Result<(), String> {
    let homes = world.nodes.iter().filter(|node| node.alive);
    let holdings = homes.filter_map(|node| node.protocol.holding(page));
    for holding in holdings {
        let holders = world.holders(page);
        if !holders.is_subset(holding.possible) {
            let possible = holding.possible;
            return Err(format!(
                "{holders} have page {page}; its home knows of {possible}"
            ));
        }
        if !holding.settled {
            continue;
        }
        // A dead node's mapping is gone, whatever the home knows.
        let alive = world.alive();
        let known: NodeSet = holding
            .holders
            .iter()
            .filter(|&n| alive.contains(n))
            .collect();
        if holders != known {
            return Err(format!(
                "{holders} have settled page {page}; its home says {known}"
            ));
        }
        let may_write = |node: &&_| super::Node::mapped(node, page) == Some(Rights::Write);
        let writer = world.nodes.iter().find(may_write).map(|node| node.id);
        let known = holding.writer.filter(|&node| alive.contains(node));
        if writer != known {
            return Err(format!(
                "{writer:?} may write page {page}; its home says {known:?}"
            ));
        }
    }
    Ok(())
}
