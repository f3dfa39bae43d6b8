//! A node's logical time.

use giantvm_core::Stamp;

use crate::sync::{AtomicU64, Ordering};

/// The logical time of one node: it starts at [`Stamp::ZERO`] and only ever goes forward, and any
/// thread may read or advance it.
///
/// Every transport has one and stamps what it sends with it; see
/// [`Transport`](crate::Transport#logical-time).
///
/// ```
/// use giantvm_core::Stamp;
/// use giantvm_transport::LogicalClock;
///
/// let clock = LogicalClock::default();
/// clock.advance(Stamp(5));
/// clock.advance(Stamp(3));
/// assert_eq!(clock.now(), Stamp(5));
/// ```
#[derive(Debug, Default)]
pub struct LogicalClock(AtomicU64);

impl LogicalClock {
    /// The latest time that the node is known to have reached.
    #[must_use]
    pub fn now(&self) -> Stamp {
        // Acquire: who reads a time has also seen all that was done before the node was put there.
        // That the time of an own earlier store is not missed needs no ordering: advancing happened
        // before that store, and a variable that only grows is never read older than what happened
        // before.
        Stamp(self.0.load(Ordering::Acquire))
    }

    /// Puts the node at `to`, unless it is there or later already.
    pub fn advance(&self, to: Stamp) {
        // Release: pairs with the load in `now`. It need not acquire, since every advance continues
        // those before it: who reads the latest one's time has seen what all of them did.
        self.0.fetch_max(to.0, Ordering::Release);
    }
}
