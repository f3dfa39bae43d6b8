//! The ticket lock's algorithm.

use super::primitives::{AtomicU32, Backoff, Ordering};

/// Takes a ticket and waits until it is served. Those who come first are served first.
pub(super) fn acquire(next: &AtomicU32, serving: &AtomicU32) -> u32 {
    let ticket = next.fetch_add(1, Ordering::Relaxed);
    let mut backoff = Backoff::default();
    // Acquire: what the last holder wrote is seen.
    while serving.load(Ordering::Acquire) != ticket {
        backoff.pause();
    }
    ticket
}

/// Takes a ticket only if it is served at once.
pub(super) fn try_acquire(next: &AtomicU32, serving: &AtomicU32) -> Option<u32> {
    let ticket = serving.load(Ordering::Acquire);
    // If no one took this ticket, it is still being served, so what was acquired above holds.
    next.compare_exchange(
        ticket,
        ticket.wrapping_add(1),
        Ordering::Relaxed,
        Ordering::Relaxed,
    )
    .ok()
}

/// Serves the ticket after `ticket`, whose holder calls this.
pub(super) fn release(serving: &AtomicU32, ticket: u32) {
    // Release: what this holder wrote is seen by the next.
    serving.store(ticket.wrapping_add(1), Ordering::Release);
}
