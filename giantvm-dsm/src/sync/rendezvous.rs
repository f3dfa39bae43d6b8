//! The barrier's algorithm.

use super::primitives::{AtomicU32, Backoff, Ordering};

/// Waits until `parties` have called this; `true` for the one that came last.
///
/// `arrived` counts who is there, `round` the times all were.
pub(super) fn meet(arrived: &AtomicU32, round: &AtomicU32, parties: u32) -> bool {
    // Read before arriving: once all have arrived the round may end at any time.
    let this = round.load(Ordering::Relaxed);
    // AcqRel: the last one sees what all did before, and passes it on by the round.
    let before = arrived.fetch_add(1, Ordering::AcqRel);
    if before.saturating_add(1) >= parties {
        // No one can arrive for the next round before this round's end is seen.
        arrived.store(0, Ordering::Relaxed);
        round.store(this.wrapping_add(1), Ordering::Release);
        return true;
    }
    let mut backoff = Backoff::default();
    while round.load(Ordering::Acquire) == this {
        backoff.pause();
    }
    false
}
