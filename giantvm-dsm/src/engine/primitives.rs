//! The primitives of the engine's shared structures, so that they can be checked with loom.

pub(super) use std::sync::atomic::{AtomicBool, Ordering};
pub(super) use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that is readable once it was rung.
#[derive(Debug)]
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    pub(super) fn ring(&self) {
        // A counter that is full is readable, which is all it has to be.
        rustix::io::write(&self.0, &1_u64.to_ne_bytes()).ok();
    }

    /// Makes it as if it was not rung.
    pub(super) fn hush(&self) {
        // Not readable is what it should become, so "would block" is no error.
        rustix::io::read(&self.0, &mut [0; 8]).ok();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
