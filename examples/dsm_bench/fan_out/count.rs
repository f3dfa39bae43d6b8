//! Messages, and how many of them follow one another.

use std::sync::atomic::{AtomicU64, Ordering};

use giantvm_core::wire::Frame;
use giantvm_transport::LogicalClock;

use crate::tap::Tap;

/// Counts what is sent, and lets the logical clock count hops: who gets a message is one hop later
/// than who sent it. Only for a protocol that does not use that clock itself.
#[derive(Debug, Default)]
pub(super) struct Counts {
    sent: AtomicU64,
}

impl Counts {
    /// Messages sent so far.
    pub(super) fn messages(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Tap for Counts {
    fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    fn came(&self, frame: &Frame, clock: &LogicalClock) {
        clock.advance(frame.stamp.after());
    }
}
