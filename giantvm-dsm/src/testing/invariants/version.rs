//! *Version*: copies for reading that have one version number have the same bytes, on whatever nodes
//! and at whatever times. So a number may stand for the bytes.

use giantvm_core::PageIndex;

use super::World;
use crate::protocol::Rights;
use crate::testing::Inspect;

pub(super) fn check<P: Inspect>(world: &World<'_, P>, page: PageIndex) -> Result<(), String> {
    for node in world.nodes {
        let version = node.protocol.version(page);
        let readers = version.filter(|_| node.mapped(page) == Some(Rights::Read));
        let Some(version) = readers else {
            continue;
        };
        let words = world.oracle.page(page, node.protocol.clock());
        if !world.versions.borrow_mut().agrees(page, version, words) {
            let id = node.id;
            return Err(format!(
                "version {version} of page {page} has other bytes on node {id}"
            ));
        }
    }
    Ok(())
}
