//! A barrier in shared memory.

use zerocopy::FromBytes;

use super::primitives::AtomicU32;
use super::rendezvous;

/// A point that a number of threads, on any nodes, pass together. May be used again and again.
///
/// ```
/// use std::thread;
///
/// use giantvm_dsm::sync::Barrier;
///
/// let barrier = Barrier::new();
/// thread::scope(|scope| {
///     scope.spawn(|| barrier.wait(2));
///     barrier.wait(2);
/// });
/// ```
#[derive(Debug, Default, FromBytes)]
#[repr(C, align(8))]
pub struct Barrier {
    arrived: AtomicU32,
    round: AtomicU32,
}

impl Barrier {
    /// A barrier that no one waits at. The same as all zeroes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            arrived: AtomicU32::new(0),
            round: AtomicU32::new(0),
        }
    }

    /// Waits until `parties` threads wait here; `true` for exactly one of them.
    ///
    /// All have to name the same number. What any of them did before is seen by all after. With
    /// fewer than two parties no one waits.
    pub fn wait(&self, parties: u32) -> bool {
        rendezvous::meet(&self.arrived, &self.round, parties)
    }
}
