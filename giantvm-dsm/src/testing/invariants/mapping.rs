//! *Mapping*: what the protocol believes of a page is what its node has mapped.

use giantvm_core::PageIndex;

use super::World;
use crate::testing::Inspect;

pub(super) fn check<P: Inspect>(world: &World<'_, P>, page: PageIndex) -> Result<(), String> {
    for node in world.nodes.iter().filter(|node| node.alive) {
        let (believed, mapped) = (node.protocol.rights(page), node.mapped(page));
        if believed != mapped {
            let id = node.id;
            return Err(format!(
                "node {id} has {mapped:?} of page {page} and believes {believed:?}"
            ));
        }
    }
    Ok(())
}
