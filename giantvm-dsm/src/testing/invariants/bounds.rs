//! *Bounds*: transactions in flight are at most one a page and node on each side, and messages
//! under way at most those of one transaction, and one request and one eviction a node.

use giantvm_core::PageIndex;

use super::World;
use crate::testing::Inspect;

/// Grant, Fetch or Data, and Done.
const OF_A_TRANSACTION: usize = 3;

pub(super) fn check<P: Inspect>(world: &World<'_, P>, page: PageIndex) -> Result<(), String> {
    let pages = world.oracle.pages();
    for node in world.nodes.iter().filter(|node| node.alive) {
        let (in_flight, limit) = (node.protocol.in_flight(), 2 * pages);
        if in_flight > limit {
            let id = node.id;
            return Err(format!(
                "{in_flight} transactions wait at node {id}: over {limit}"
            ));
        }
    }
    let (count, limit) = (
        world.network.under_way(page),
        3 * world.nodes.len() + OF_A_TRANSACTION,
    );
    if count > limit && !world.disturbed {
        return Err(format!(
            "{count} messages about page {page} are under way: over {limit}"
        ));
    }
    Ok(())
}
