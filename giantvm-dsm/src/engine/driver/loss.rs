//! The loss of a peer.

use giantvm_core::NodeId;

use super::Driver;
use crate::backing::BackingError;
use crate::engine::ahead::Ahead;
use crate::protocol::{CoherenceProtocol, Input};

impl<P: CoherenceProtocol> Driver<P> {
    /// Feeds the loss of a peer.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn lost(&mut self, node: NodeId) -> Result<(), BackingError> {
        self.pins.retain(|letter| letter.from != node);
        if self.protocol.has_left(node) {
            return self.feed(Input::Lost { node });
        }
        // No fault is answered any more: what was asked for ahead does not come, and no more is worth
        // asking for.
        self.coming.clear();
        self.ahead = Ahead::new(0);
        self.keep_all()?;
        self.feed(Input::Lost { node })
    }
}

#[cfg(test)]
mod tests {
    use giantvm_core::wire::Limits;
    use giantvm_core::{Epoch, NodeId, NodeSet, PageIndex, PageSize};
    use giantvm_transport::{Transport, inproc};

    use super::*;
    use crate::backing::Fault;
    use crate::backing::sim::SimBacking;
    use crate::protocol::{Access, Directory, HomeMap, Ivy, Lease, Setup};

    /// A thread walks through memory whose home never answers, and then is lost.
    fn asks_for_nothing_ahead<P: CoherenceProtocol>() {
        const PAGES: u64 = 256;
        let limits = Limits::for_pages(PageSize::K4);
        let end = inproc::cluster(2, Epoch::FIRST, limits).unwrap().remove(1);
        let protocol = P::new(Setup {
            local: end.local(),
            nodes: NodeSet::first(2),
            pages: PAGES,
            homes: HomeMap::even(PAGES, [NodeId::ZERO]),
        });
        let backing = SimBacking::new(PageSize::K4, 256);
        let driver = Driver::new(protocol, Box::new(backing), end, Epoch::FIRST);
        let mut driver = driver.reading_ahead(64);
        let walk = |driver: &mut Driver<P>, pages: std::ops::Range<u64>| {
            for page in pages {
                let fault = Fault {
                    page: PageIndex(page),
                    access: Access::Read,
                    thread: 0,
                };
                driver.fault(fault).unwrap();
            }
            driver.stats().lock().unwrap().read_ahead
        };
        let asked = walk(&mut driver, 0..8);
        assert_eq!(driver.coming.len() as u64, asked);
        assert!(asked > 0, "{} reads nothing ahead", P::NAME);
        driver.lost(NodeId::ZERO).unwrap();
        assert!(driver.coming.is_empty());
        assert_eq!(walk(&mut driver, 8..200), asked);
        assert!(driver.coming.is_empty());
    }

    #[test]
    fn after_a_loss_nothing_is_asked_for_ahead_and_nothing_is_expected() {
        asks_for_nothing_ahead::<Directory>();
        asks_for_nothing_ahead::<Ivy>();
        asks_for_nothing_ahead::<Lease>();
    }
}
