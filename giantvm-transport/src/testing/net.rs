//! A cluster under test, all of whose nodes are pumped by one thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use giantvm_core::wire::{Body, Class, Frame, Service};
use giantvm_core::{NodeId, Stamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::EPOCH;
use crate::{Event, Transport};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest sleep of the pump.
const NAP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// The transports of a cluster and what arrived at each.
#[derive(Debug)]
pub struct Net {
    /// The transports, by node. Dropping one is what its process' end would be.
    pub nodes: Vec<Option<Arc<dyn Transport>>>,
    /// Events by node, oldest first.
    pub events: Vec<Vec<Event>>,
}

impl Net {
    /// A net of the given nodes.
    #[must_use]
    pub fn new(nodes: Vec<Arc<dyn Transport>>) -> Self {
        let events = nodes.iter().map(|_| Vec::new()).collect();
        let nodes = nodes.into_iter().map(Some).collect();
        Self { nodes, events }
    }

    /// A node's transport.
    ///
    /// # Panics
    /// If it was dropped.
    #[must_use]
    pub fn node(&self, node: usize) -> &Arc<dyn Transport> {
        self.nodes[node].as_ref().expect("the node was not dropped")
    }

    /// A frame of `from` with `kind` and `payload`.
    #[must_use]
    pub fn frame(from: usize, kind: u8, payload: Vec<u8>) -> Frame {
        Frame {
            service: Service::Dsm,
            kind,
            from: id(from),
            epoch: EPOCH,
            stamp: Stamp::ZERO,
            body: Body::of(&[kind; 8]),
            payload: payload.into(),
        }
    }

    /// Sends an empty frame of `kind`.
    ///
    /// # Panics
    /// If it is refused.
    pub fn send(&self, from: usize, to: usize, class: Class, kind: u8) {
        let frame = Self::frame(from, kind, Vec::new());
        self.node(from)
            .send(id(to), class, frame)
            .expect("the frame is taken");
    }

    /// Polls every node once, all of them or those of `which`.
    pub fn turn(&mut self, which: impl Fn(usize) -> bool) -> usize {
        let mut count = 0;
        for (index, (node, events)) in self.nodes.iter().zip(&mut self.events).enumerate() {
            if let Some(node) = node
                && which(index)
            {
                count += node.poll(&mut |event| events.push(event));
            }
        }
        count
    }

    /// Pumps all nodes until `done`.
    ///
    /// # Panics
    /// If it takes too long.
    pub fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        self.run_some_until(what, |_| true, done);
    }

    /// Pumps the nodes of `which` until `done`.
    ///
    /// # Panics
    /// If it takes too long.
    pub fn run_some_until(
        &mut self,
        what: &str,
        which: impl Fn(usize) -> bool,
        done: impl Fn(&Self) -> bool,
    ) {
        let start = Instant::now();
        while !done(self) {
            assert!(
                start.elapsed() < PATIENCE,
                "{what}: not within {PATIENCE:?}; {self:?}"
            );
            if self.turn(&which) == 0 {
                self.nap(&which);
            }
        }
    }

    /// Pumps all nodes for a while.
    pub fn run_for(&mut self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            if self.turn(|_| true) == 0 {
                self.nap(|_| true);
            }
        }
    }

    fn nap(&self, which: impl Fn(usize) -> bool) {
        let chosen = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(index, _)| which(*index));
        let mut fds: Vec<_> = chosen
            .filter_map(|(_, node)| node.as_ref())
            .map(|node| PollFd::from_borrowed_fd(node.ready(), PollFlags::IN))
            .collect();
        poll(&mut fds, Some(&NAP)).ok();
    }

    /// Whether a node's descriptor is readable.
    #[must_use]
    pub fn is_ready(&self, node: usize) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(
            self.node(node).ready(),
            PollFlags::IN,
        )];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// The frames that arrived at `node`, with their class.
    pub fn frames(&self, node: usize) -> impl Iterator<Item = (Class, &Frame)> {
        self.events[node].iter().filter_map(|event| match event {
            Event::Frame { class, frame } => Some((*class, frame)),
            Event::Lost { .. } => None,
        })
    }

    /// The losses that `node` saw, as node number and text.
    #[must_use]
    pub fn losses(&self, node: usize) -> Vec<(usize, String)> {
        let loss = |event: &Event| match event {
            Event::Lost { node, loss } => Some((node.index(), loss.to_string())),
            Event::Frame { .. } => None,
        };
        self.events[node].iter().filter_map(loss).collect()
    }
}

/// The node of an index.
pub(super) fn id(index: usize) -> NodeId {
    NodeId::try_from(index).expect("a test has few nodes")
}
