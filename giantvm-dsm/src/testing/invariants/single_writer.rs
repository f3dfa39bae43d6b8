//! *Single writer, multiple readers*: a page that one node may write is mapped on no other.

use giantvm_core::{NodeSet, PageIndex};

use super::World;
use crate::protocol::Rights;
use crate::testing::Inspect;

pub(super) fn check<P: Inspect>(world: &World<'_, P>, page: PageIndex) -> Result<(), String> {
    let may_write = |node: &&_| super::Node::mapped(node, page) == Some(Rights::Write);
    let writers: NodeSet = world.nodes.iter().filter(may_write).map(|n| n.id).collect();
    let holders = world.holders(page);
    if writers.is_empty() || holders.len() == 1 {
        Ok(())
    } else {
        Err(format!(
            "nodes {writers} may write page {page} while nodes {holders} have it mapped"
        ))
    }
}
