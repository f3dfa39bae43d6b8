//! An event descriptor used as a flag.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// A flag whose descriptor is readable while it is set.
///
/// Setting a set flag costs no system call. `set` and `clear` of one flag must not run at the same
/// time; callers hold the lock of what the flag tells about.
#[derive(Debug)]
pub(crate) struct Wake {
    fd: OwnedFd,
    set: AtomicBool,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            fd: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            set: AtomicBool::new(false),
        })
    }

    pub(crate) fn set(&self) {
        if !self.set.swap(true, Ordering::AcqRel) {
            // Cannot fail: the counter is 0 or 1.
            rustix::io::write(&self.fd, &1_u64.to_ne_bytes()).ok();
        }
    }

    pub(crate) fn clear(&self) {
        if self.set.swap(false, Ordering::AcqRel) {
            let mut count = [0; 8];
            rustix::io::read(&self.fd, &mut count).ok();
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
