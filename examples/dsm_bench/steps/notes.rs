//! A node that notes what it does when.

use std::sync::{Arc, Mutex, PoisonError};

use giantvm_core::wire::Frame;
use giantvm_transport::LogicalClock;
use rustix::time::{ClockId, clock_gettime};

use super::path::{Note, What};
use crate::tap::Tap;

/// Notes that are kept until they are taken; what comes after them is lost.
const MOST: usize = 1 << 20;

/// What was noted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Note>>>);

/// Nanoseconds of a clock that all processes of the host share.
pub(super) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec.cast_unsigned() * 1_000_000_000).wrapping_add(now.tv_nsec.cast_unsigned())
}

impl Notes {
    pub(super) fn add(&self, what: What) {
        self.put(Note { at: now(), what });
    }

    /// Notes faults whose reading began at `began`.
    pub(super) fn faults(&self, began: u64) {
        let what = What::Read;
        self.put(Note { at: began, what });
        self.add(What::Fault);
    }

    fn put(&self, note: Note) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < MOST {
            notes.push(note);
        }
    }

    /// All notes since the last time.
    pub(crate) fn take(&self) -> Vec<Note> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tap for Notes {
    fn sends(&self) {
        self.add(What::Send);
    }

    fn sent(&self) {
        self.add(What::Sent);
    }

    fn came(&self, _: &Frame, _: &LogicalClock) {
        self.add(What::Came);
    }
}
