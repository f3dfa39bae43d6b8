//! Who has said that it is done, and who went without saying so.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use giantvm_core::{NodeId, NodeSet};

use super::primitives::{Condvar, Mutex, MutexGuard};

/// The pump notes what it hears; the thread that finishes waits for it.
#[derive(Debug)]
pub(super) struct Farewells {
    peers: NodeSet,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    done: NodeSet,
    gone: NodeSet,
}

impl Farewells {
    pub(super) fn new(peers: NodeSet) -> Self {
        Self {
            peers,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Notes that `node` is done.
    pub(super) fn received(&self, node: NodeId) {
        let mut state = self.locked();
        state.done = state.done.with(node);
        self.changed.notify_all();
    }

    /// Notes that the link to `node` ended. True if it had said that it was done.
    pub(super) fn left(&self, node: NodeId) -> bool {
        let mut state = self.locked();
        state.gone = state.gone.with(node);
        self.changed.notify_all();
        state.done.contains(node)
    }

    /// Waits until every peer is done. The error has the peers that are not.
    pub(super) fn wait(&self, patience: Duration) -> Result<(), NodeSet> {
        // None is a time that no clock reaches.
        let deadline = Instant::now().checked_add(patience);
        let mut state = self.locked();
        loop {
            let missing = self.peers.minus(state.done);
            if missing.is_empty() {
                return Ok(());
            }
            let left = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            // A peer that went without a word will never say it.
            let silent = state.gone.minus(state.done);
            if left.is_zero() || !silent.is_empty() {
                return Err(missing);
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
