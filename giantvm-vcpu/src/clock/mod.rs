//! Guest time: monotonic on every node, and equal on all within the links' round trip.
//!
//! One node is the reference: its monotonic clock *is* guest time. Every other node asks it for
//! the time again and again ([`Probe`], [`Reply`]), estimates from the answers how far its own
//! clock is off ([`OffsetEstimator`]), and corrects its [`GuestClock`] accordingly: forward by a
//! step, backward by going slower for a while ([`Steering`]), so that no reader ever sees time run
//! backwards.
//!
//! Two nodes' clocks so differ by at most half a round trip each from the reference. A value read
//! on one node and handed to another can be compared there without surprise as long as the handing
//! over takes longer than the difference; a page takes at least one trip, and its request another.
//!
//! Time-stamp counters, which guests read without any exit, are compared the same way before the guest
//! runs, and then kept in order by messages: [`CounterOffset`] has what is guaranteed of them.
//!
//! ```
//! use giantvm_vcpu::clock::{GuestClock, OffsetEstimator};
//!
//! let (reference, follower) = (GuestClock::new(), GuestClock::new());
//! let mut estimator = OffsetEstimator::new();
//! let probe = estimator.probe(follower.local());
//! let reply = reference.answer(probe); // on the other node
//! let estimate = estimator.reply(follower.local(), reply)?;
//! follower.correct(&estimate);
//! assert!(follower.now().0.abs_diff(reference.now().0) < 1_000_000_000);
//! # Ok::<(), giantvm_vcpu::clock::RefusedReply>(())
//! ```

mod bounds;
mod counter;
mod estimator;
mod guest;
mod steering;

pub use bounds::Bounds;
pub use counter::{CounterOffset, TooFarAhead};
pub use estimator::{Estimate, OffsetEstimator, RefusedReply};
pub use guest::GuestClock;
pub use steering::Steering;

/// Nanoseconds since an origin that the context names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub u64);

/// The question what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Probe {
    /// Tells the questions of one node apart.
    pub sequence: u32,
    /// The asker's own time when it asked.
    pub sent: Nanos,
}

/// The answer to a [`Probe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reply {
    /// The question.
    pub probe: Probe,
    /// Guest time when the question came.
    pub received: Nanos,
    /// Guest time when the answer was given.
    pub replied: Nanos,
}
