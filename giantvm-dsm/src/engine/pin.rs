//! Holding a page for a while.

use giantvm_core::PageIndex;

use super::orders::{Order, Orders};
use super::primitives::Arc;

/// A page was not pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The page did not come in time, or too many are pinned already.
    #[error("page {0} could not be pinned in time")]
    TimedOut(PageIndex),
    /// Too many threads ask for pins and evictions at once.
    #[error("page {0} was not pinned: too many orders wait for the pump")]
    Busy(PageIndex),
}

/// A page that this node may write, and that stays for as long as this value lives.
///
/// Other nodes' accesses to the page wait meanwhile. Hold it for as long as a device works on the
/// page and no longer, and wait for no other page while you hold it: two nodes that each hold what
/// the other waits for wait for ever.
#[derive(Debug)]
#[must_use = "the page is let go of at once"]
pub struct Pin {
    page: PageIndex,
    orders: Arc<Orders>,
}

impl Pin {
    pub(super) const fn new(page: PageIndex, orders: Arc<Orders>) -> Self {
        Self { page, orders }
    }

    /// The page.
    #[must_use]
    pub const fn page(&self) -> PageIndex {
        self.page
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // Taken beyond every limit.
        let _ = self.orders.push(Order::Unpin(self.page));
    }
}
