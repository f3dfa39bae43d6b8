//! Where a vCPU is to be, where it is, and what it did.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// On no host: it does nothing.
const NOWHERE: usize = usize::MAX;

/// A vCPU goes to another host, or stops, between its steps.
#[derive(Debug)]
pub(crate) struct Seat {
    wanted: AtomicUsize,
    at: AtomicUsize,
    steps: AtomicU64,
}

impl Seat {
    pub(crate) const fn new(host: usize) -> Self {
        Self {
            wanted: AtomicUsize::new(host),
            at: AtomicUsize::new(NOWHERE),
            steps: AtomicU64::new(0),
        }
    }

    /// Says where it is to go on.
    pub(crate) fn go(&self, host: usize) {
        self.wanted.store(host, Ordering::Release);
    }

    /// Says that it is to stop.
    pub(crate) fn halt(&self) {
        self.wanted.store(NOWHERE, Ordering::Release);
    }

    /// Whether it has stopped, or ended.
    pub(crate) fn is_halted(&self) -> bool {
        self.at.load(Ordering::Acquire) == NOWHERE
    }

    /// The vCPU does what it was told, between two steps: where it is now, if anywhere.
    pub(crate) fn obey(&self) -> Option<usize> {
        let wanted = self.wanted.load(Ordering::Acquire);
        self.at.store(wanted, Ordering::Release);
        (wanted != NOWHERE).then_some(wanted)
    }

    /// The vCPU did a step.
    pub(crate) fn did(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// How many steps it did so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// The vCPU ends.
    pub(crate) fn leave(&self) {
        self.at.store(NOWHERE, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vcpu_does_what_it_is_told_between_its_steps() {
        let seat = Seat::new(1);
        assert_eq!(seat.obey(), Some(1));
        seat.halt();
        assert!(!seat.is_halted(), "it is within a step");
        assert_eq!(seat.obey(), None);
        assert!(seat.is_halted());
        seat.go(0);
        assert_eq!(seat.obey(), Some(0));
        seat.did();
        assert_eq!(seat.steps(), 1);
        seat.leave();
        assert!(seat.is_halted());
    }
}
