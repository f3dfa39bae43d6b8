//! *Single writer, multiple readers*: at most one node may write a page; where one may, every other
//! mapping is a lease that has not ended at its own node and ends before the writer's time.

use giantvm_core::{NodeSet, PageIndex};

use super::World;
use crate::protocol::Rights;
use crate::testing::Inspect;

pub(super) fn check<P: Inspect>(world: &World<'_, P>, page: PageIndex) -> Result<(), String> {
    let may_write = |node: &&_| super::Node::mapped(node, page) == Some(Rights::Write);
    let writers: NodeSet = world.nodes.iter().filter(may_write).map(|n| n.id).collect();
    let writer = world.nodes.iter().find(may_write);
    for node in world.nodes.iter().filter(|n| n.mapped(page).is_some()) {
        let (id, clock, lease) = (node.id, node.protocol.clock(), node.protocol.lease(page));
        if lease.is_some_and(|end| end < clock) {
            return Err(format!("node {id} reads page {page} after its lease"));
        }
        let Some(writer) = writer.filter(|writer| writer.id != id) else {
            continue;
        };
        let apart = lease.is_some_and(|end| end < writer.protocol.clock());
        if !apart || writers.len() > 1 {
            let holders = world.holders(page);
            return Err(format!(
                "nodes {writers} may write page {page} while nodes {holders} have it mapped"
            ));
        }
    }
    Ok(())
}
