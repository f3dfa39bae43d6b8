//! Where a vCPU is to be, and where it is.

use std::sync::atomic::{AtomicUsize, Ordering};

/// On no host: it does nothing.
const NOWHERE: usize = usize::MAX;

/// A vCPU goes to another host, or stops, between its steps.
#[derive(Debug)]
pub(crate) struct Seat {
    wanted: AtomicUsize,
    at: AtomicUsize,
}

impl Seat {
    pub(crate) const fn new(host: usize) -> Self {
        Self {
            wanted: AtomicUsize::new(host),
            at: AtomicUsize::new(NOWHERE),
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
        seat.leave();
        assert!(seat.is_halted());
    }
}
