//! A bell used as a flag.

use std::io;

use crate::sync::{AtomicBool, Bell, Ordering};

/// A flag whose bell's descriptor is readable while it is set.
///
/// Setting a set flag costs no system call. `set` and `clear` of one flag must not run at the same
/// time; callers hold the lock of what the flag tells about.
#[derive(Debug)]
pub(crate) struct Wake {
    bell: Bell,
    set: AtomicBool,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            bell: Bell::new()?,
            set: AtomicBool::new(false),
        })
    }

    pub(crate) fn set(&self) {
        if !self.set.swap(true, Ordering::AcqRel) {
            self.bell.ring();
        }
    }

    pub(crate) fn clear(&self) {
        if self.set.swap(false, Ordering::AcqRel) {
            self.bell.silence();
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }
}
