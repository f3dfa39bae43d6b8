//! *Data value*: every mapped copy shows the last value that any node wrote, in the order of
//! logical time, up to what its node's clock shows.

use giantvm_core::PageIndex;

use super::World;
use crate::testing::Inspect;

pub(super) fn check<P: Inspect>(world: &World<'_, P>, page: PageIndex) -> Result<(), String> {
    for node in world
        .nodes
        .iter()
        .filter(|node| node.mapped(page).is_some())
    {
        let expected = world.oracle.page(page, node.protocol.clock());
        node.memory.inspect(page, |_, bytes| {
            let words = bytes.as_chunks().0.iter().copied().map(u64::from_le_bytes);
            for (at, (got, expected)) in words.zip(expected).enumerate() {
                if got != expected {
                    let id = node.id;
                    return Err(format!("{page}.{at} is {got} on node {id}, not {expected}"));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}
