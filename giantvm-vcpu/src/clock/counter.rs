//! One time-stamp counter for the guest, of the counters of several hosts.

use super::{Bounds, Nanos};

/// The largest step forward, in ticks: some 20 seconds. A peer that is farther ahead than that while the
/// machine runs tells nonsense.
const LARGEST_STEP: u64 = 1 << 36;

/// A peer says that its guest's counter is farther ahead than can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "its counter is {ahead} ticks ahead of this node's, and no two ever were {LARGEST_STEP} apart"
)]
pub struct TooFarAhead {
    /// How far.
    pub ahead: u64,
}

/// What one node adds to its host's time-stamp counter to make the guest's.
///
/// Before the guest runs, each node [settles](Self::settle): the counters are compared as clocks are, and
/// where they differ for certain the guest's is put into the middle of what is possible. Counters that may
/// be the same, as those of one host are, stay as they are.
///
/// From then on it goes forward only, by the rule of logical clocks (Lamport 1978, with physical clocks
/// below as of Kulkarni and others 2014): nodes send one another their guest's counter now and then, and
/// who [hears](Self::hear) of one ahead of its own steps there.
///
/// # What is guaranteed
/// * A node's guest counter never runs backwards, but for settling.
/// * What is heard was sent in the past: when a node has heard of a counter, its own is not behind that.
/// * So two guest counters never differ by more than the slowest of the last messages both ways took, and
///   what the hosts' clocks drifted since. A reading that is handed to another node is behind that node's
///   next one if handing it over took at least as long. Where clocks do not drift, the fastest message of
///   all times counts, not the slowest: the rule never forgets.
/// * Guest time goes as fast as the fastest host's counter.
///
/// A message that is faster than all that were heard, by less than the drift since, is not covered: that
/// would take a stamp on every frame.
///
/// ```
/// use giantvm_vcpu::clock::{Bounds, CounterOffset, Nanos};
///
/// let mut counter = CounterOffset::default();
/// // The first node's counter, as far as is known, is 980 to 1020 ahead of this host's.
/// counter.settle(Bounds { low: 980, high: 1020 });
/// assert_eq!(counter.guest(Nanos(5000)), Nanos(6000));
/// // A message that was sent at 7010 arrives at what would be 7000: it is 7010 at the least.
/// assert!(counter.hear(Nanos(6000), Nanos(7010))?);
/// assert_eq!(counter.guest(Nanos(6000)), Nanos(7010));
/// # Ok::<(), giantvm_vcpu::clock::TooFarAhead>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CounterOffset {
    offset: i64,
}

impl CounterOffset {
    /// What is added, in ticks.
    #[must_use]
    pub const fn offset(self) -> i64 {
        self.offset
    }

    /// The guest's counter where the host's is `host`, both in ticks.
    #[must_use]
    pub const fn guest(self, host: Nanos) -> Nanos {
        Nanos(host.0.saturating_add_signed(self.offset))
    }

    /// Agrees with a reference whose guest counter is between these bounds ahead of this host's counter.
    /// For a node whose guest has not run.
    pub fn settle(&mut self, reference: Bounds) {
        self.offset = match reference.contains(0) {
            true => 0,
            false => reference.middle(),
        };
    }

    /// Takes up that a message arrived now, at the host's counter `host`, which was sent when its sender's
    /// guest counter was `sent`. Says whether that was a step forward.
    ///
    /// # Errors
    /// [`TooFarAhead`]; nothing changed.
    pub fn hear(&mut self, host: Nanos, sent: Nanos) -> Result<bool, TooFarAhead> {
        let ahead = sent.0.saturating_sub(self.guest(host).0);
        match i64::try_from(ahead) {
            Ok(0) => Ok(false),
            Ok(step) if ahead <= LARGEST_STEP => {
                self.offset = self.offset.saturating_add(step);
                Ok(true)
            }
            _ => Err(TooFarAhead { ahead }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_that_may_be_the_same_are_left_alone() {
        let mut counter = CounterOffset::default();
        counter.settle(Bounds { low: -10, high: 90 });
        assert_eq!(counter.offset(), 0);
        counter.settle(Bounds { low: 10, high: 91 });
        assert_eq!(counter.offset(), 50);
        counter.settle(Bounds {
            low: -90,
            high: -10,
        });
        assert_eq!(counter.offset(), -50);
    }

    #[test]
    fn nonsense_is_refused_and_changes_nothing() {
        let mut counter = CounterOffset::default();
        for far in [1 << 36 | 1, u64::MAX] {
            let refused = counter.hear(Nanos(0), Nanos(far));
            assert_eq!(refused, Err(TooFarAhead { ahead: far }));
        }
        assert_eq!(counter, CounterOffset::default());
        assert_eq!(counter.hear(Nanos(0), Nanos(1 << 36)), Ok(true));
        assert_eq!(counter.hear(Nanos(9), Nanos(0)), Ok(false));
    }
}
