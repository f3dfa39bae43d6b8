//! The output of one connection, as the threads that send and the one that polls share it.

use std::sync::PoisonError;

use giantvm_core::wire::Frame;
use rustix::io::Errno;

use super::output::{Line, Output, Sent};
use crate::sync::{Mutex, MutexGuard};

/// An [`Output`] behind a lock, which covers the asking for readiness too: whoever finds the queue
/// empty, or not, says so before anyone can change it.
#[derive(Debug, Default)]
pub(super) struct Outlet(Mutex<Output>);

impl Outlet {
    /// Sends `frame` or queues it, with `page` for its payload if that is not empty; a queue that was empty asks to be told when it can go on.
    pub(super) fn send(&self, line: &impl Line, frame: &Frame, page: &[u8]) -> Sent {
        let mut output = self.locked();
        watched(line, output.send(line, frame, page))
    }

    /// Takes `frame` as [`send`](Self::send) does, and may keep it until the next [`push`](Self::push).
    pub(super) fn post(&self, line: &impl Line, frame: &Frame, page: &[u8]) -> Sent {
        let mut output = self.locked();
        watched(line, output.post(line, frame, page))
    }

    /// Sends what was posted.
    pub(super) fn push(&self, line: &impl Line) -> Sent {
        let mut output = self.locked();
        watched(line, output.push(line))
    }

    /// Sends from the queue what the line takes.
    ///
    /// # Errors
    /// What ended sending: nothing goes out any more.
    pub(super) fn flush(&self, line: &impl Line) -> Result<(), Errno> {
        let mut output = self.locked();
        let flushed = output.flush(line);
        line.watch(flushed == Ok(false));
        flushed.map(|_| ())
    }

    /// Sends what goes without waiting, and nothing after it.
    pub(super) fn close(&self, line: &impl Line) {
        let mut output = self.locked();
        // A connection that fails is one that is closed.
        output.push(line);
        output.flush(line).ok();
        output.abandon();
    }

    /// Forgets what waits, and sends nothing any more.
    pub(super) fn abandon(&self) {
        self.locked().abandon();
    }

    fn locked(&self) -> MutexGuard<'_, Output> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks to be told when what just began to wait can go on.
fn watched(line: &impl Line, sent: Sent) -> Sent {
    if sent == (Sent::Queued { first: true }) {
        line.watch(true);
    }
    sent
}
