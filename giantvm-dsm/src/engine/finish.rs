//! The common end: no node leaves while another may still need its pages.
//!
//! A node that is done says so to all others and goes on serving until all of them have said the
//! same. It says so after its own last access, so when it has heard from everyone no page of its
//! own is needed by anyone.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use giantvm_core::wire::{DecodeError, Frame};
use giantvm_core::{NodeId, NodeSet};

/// The frame kind of a farewell: the last one, which no protocol uses.
pub(super) const KIND: u8 = u8::MAX;

/// Who has said that it is done, and who went without saying so.
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

    /// Notes the farewell in `frame`.
    pub(super) fn received(&self, frame: &Frame) -> Result<(), DecodeError> {
        if !frame.body.as_slice().is_empty() || !frame.payload.is_empty() {
            return Err(DecodeError::BodyLength {
                service: frame.service,
                kind: frame.kind,
                expected: 0,
                got: frame.body.as_slice().len() + frame.payload.len(),
            });
        }
        self.update(|state| state.done = state.done.with(frame.from));
        Ok(())
    }

    /// Notes that the link to `node` ended. True if it had said that it was done.
    pub(super) fn left(&self, node: NodeId) -> bool {
        self.update(|state| state.gone = state.gone.with(node));
        self.locked().done.contains(node)
    }

    /// Waits until every peer is done. The error has the peers that are not.
    pub(super) fn wait(&self, patience: Duration) -> Result<(), NodeSet> {
        let deadline = Instant::now() + patience;
        let mut state = self.locked();
        loop {
            let missing = self.peers.minus(state.done);
            if missing.is_empty() {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
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

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.locked());
        self.changed.notify_all();
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use giantvm_core::Epoch;
    use giantvm_core::wire::{Body, Service};

    use super::*;

    fn farewell(from: u8) -> Frame {
        Frame {
            service: Service::Dsm,
            kind: KIND,
            from: NodeId::new(from).unwrap(),
            epoch: Epoch::FIRST,
            body: Body::new(&[]).unwrap(),
            payload: Bytes::new(),
        }
    }

    #[test]
    fn the_end_is_reached_when_every_peer_is_done() {
        let farewells = Farewells::new(NodeSet::first(3).without(NodeId::ZERO));
        farewells.received(&farewell(1)).unwrap();
        let missing = farewells.wait(Duration::ZERO).unwrap_err();
        assert_eq!(missing, NodeSet::only(NodeId::new(2).unwrap()));
        farewells.received(&farewell(2)).unwrap();
        assert_eq!(farewells.wait(Duration::ZERO), Ok(()));
    }

    #[test]
    fn a_peer_that_went_without_a_word_ends_the_wait_at_once() {
        let one = NodeId::new(1).unwrap();
        let farewells = Farewells::new(NodeSet::only(one));
        assert!(!farewells.left(one));
        let missing = farewells.wait(Duration::from_secs(3600)).unwrap_err();
        assert_eq!(missing, NodeSet::only(one));
    }

    #[test]
    fn a_farewell_with_a_body_is_refused() {
        let mut frame = farewell(1);
        frame.body = Body::new(&[1]).unwrap();
        assert!(Farewells::new(NodeSet::EMPTY).received(&frame).is_err());
    }
}
