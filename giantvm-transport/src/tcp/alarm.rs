//! What other threads ask of the next poll.

use std::io;
use std::sync::PoisonError;

use giantvm_core::NodeId;

use crate::Loss;
use crate::sync::{Bell, Mutex, MutexGuard};
use crate::wake::Wake;

/// A flag that calls for a poll, and the links that it shall end.
#[derive(Debug)]
pub(super) struct Alarm {
    /// Links to end for a reason that did not come from the socket. At most one a peer.
    severed: Mutex<Vec<(NodeId, Loss)>>,
    wake: Wake,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            severed: Mutex::default(),
            wake: Wake::new()?,
        })
    }

    /// Calls for a poll: rings until the next [`take`](Self::take).
    pub(super) fn raise(&self) {
        let _held = self.locked();
        self.wake.set();
    }

    /// Whether a poll was called for.
    pub(super) fn is_raised(&self) -> bool {
        self.wake.is_set()
    }

    /// Has the next poll end the link to `node`.
    pub(super) fn sever(&self, node: NodeId, loss: Loss) {
        let mut severed = self.locked();
        if severed.iter().all(|(other, _)| *other != node) {
            severed.push((node, loss));
        }
        self.wake.set();
    }

    /// Links to end now. Costs no lock while nothing was asked.
    pub(super) fn take(&self) -> Vec<(NodeId, Loss)> {
        if !self.wake.is_set() {
            return Vec::new();
        }
        let mut severed = self.locked();
        self.wake.clear();
        std::mem::take(&mut severed)
    }

    pub(super) fn bell(&self) -> &Bell {
        self.wake.bell()
    }

    fn locked(&self) -> MutexGuard<'_, Vec<(NodeId, Loss)>> {
        self.severed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
