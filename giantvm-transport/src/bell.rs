//! An event descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that is readable from [`ring`](Self::ring) to [`silence`](Self::silence).
#[derive(Debug)]
pub(crate) struct Bell(OwnedFd);

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        Ok(Self(eventfd(0, flags)?))
    }

    pub(crate) fn ring(&self) {
        // A counter that is full is readable, which is all it has to be.
        rustix::io::write(&self.0, &1_u64.to_ne_bytes()).ok();
    }

    pub(crate) fn silence(&self) {
        // Not readable is what it should become, so "would block" is no error.
        rustix::io::read(&self.0, &mut [0; 8]).ok();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
