//! Counters behind [`Traffic`].

use std::sync::atomic::{AtomicU64, Ordering};

use giantvm_core::wire::Frame;

use crate::Traffic;

/// Traffic counters that any thread may add to.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    frames_sent: AtomicU64,
    bytes_sent: AtomicU64,
    frames_received: AtomicU64,
    bytes_received: AtomicU64,
}

impl Counters {
    /// Counts a frame that a link took, with `more` bytes than it says itself.
    pub(crate) fn sent(&self, frame: &Frame, more: usize) {
        self.frames_sent.fetch_add(1, Ordering::Relaxed);
        let bytes = (frame.wire_len() + more) as u64;
        self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a frame that arrived.
    pub(crate) fn received(&self, frame: &Frame) {
        self.frames_received.fetch_add(1, Ordering::Relaxed);
        let bytes = frame.wire_len() as u64;
        self.bytes_received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The counts so far.
    pub(crate) fn read(&self) -> Traffic {
        Traffic {
            frames_sent: self.frames_sent.load(Ordering::Relaxed),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            frames_received: self.frames_received.load(Ordering::Relaxed),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
        }
    }
}
