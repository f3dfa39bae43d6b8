//! *Convergence*: when nothing is left to happen, every mapped copy shows the last write there was,
//! whatever its node's clock shows. No one goes on reading an old copy for ever.

use giantvm_core::{PageIndex, PageRange, Stamp};

use super::World;
use crate::testing::Inspect;

pub(super) fn check<P: Inspect>(world: &World<'_, P>) -> Result<(), String> {
    if world.disturbed {
        return Ok(());
    }
    let pages = PageRange::first(world.oracle.pages() as u64);
    pages.iter().try_for_each(|page| check_page(world, page))
}

fn check_page<P: Inspect>(world: &World<'_, P>, page: PageIndex) -> Result<(), String> {
    let last = world.oracle.page(page, Stamp::MAX);
    for node in world.nodes.iter().filter(|n| n.mapped(page).is_some()) {
        // The data-value invariant says that these are the words that the copy shows.
        if world.oracle.page(page, node.protocol.clock()) != last {
            let id = node.id;
            return Err(format!(
                "node {id} goes on showing an old copy of page {page}"
            ));
        }
    }
    Ok(())
}
