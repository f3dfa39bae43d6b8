//! A transport of queues: order within a class, none between classes or senders.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use giantvm_core::wire::{Class, Frame};
use giantvm_core::{NodeId, NodeSet};
use giantvm_transport::{Event, LogicalClock, Loss, SendError, Traffic, Transport};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Mutex;

/// What is under way to one node.
#[derive(Debug)]
struct Inbox {
    /// Frames in the order they were sent, by sender and class. None is empty.
    streams: BTreeMap<(NodeId, usize), std::collections::VecDeque<Frame>>,
    /// Losses to tell of once nothing of the peer is under way any more.
    losses: Vec<(NodeId, Loss)>,
    linked: NodeSet,
}

impl Inbox {
    fn has(&self, from: NodeId) -> bool {
        self.streams.keys().any(|&(sender, _)| sender == from)
    }

    fn lose(&mut self, peer: NodeId, loss: Loss) {
        if self.linked.contains(peer) {
            self.linked = self.linked.without(peer);
            self.losses.push((peer, loss));
        }
    }

    /// Any event that may be the next one.
    fn take(&mut self) -> Option<Event> {
        let ends = self.losses.iter().position(|&(node, _)| !self.has(node));
        let choices = self.streams.len() + usize::from(ends.is_some());
        if choices == 0 {
            return None;
        }
        let choice = thread_rng().gen_range(0..choices);
        let Some((&stream, _)) = self.streams.iter().nth(choice) else {
            let (node, loss) = self.losses.remove(ends?);
            return Some(Event::Lost { node, loss });
        };
        let frames = self.streams.get_mut(&stream)?;
        let frame = frames.pop_front()?;
        if frames.is_empty() {
            self.streams.remove(&stream);
        }
        let class = Class::ALL[stream.1];
        Some(Event::Frame { class, frame })
    }
}

/// One node's end of the network.
#[derive(Debug)]
pub(crate) struct Net {
    local: NodeId,
    peers: NodeSet,
    clock: LogicalClock,
    inboxes: Arc<[Mutex<Inbox>]>,
}

/// The ends of a network of `count` nodes.
pub(crate) fn network(count: usize) -> Vec<Arc<Net>> {
    let nodes = NodeSet::first(count);
    let inbox = |node| Inbox {
        streams: BTreeMap::new(),
        losses: Vec::new(),
        linked: nodes.without(node),
    };
    let inboxes: Arc<[_]> = nodes.iter().map(|node| Mutex::new(inbox(node))).collect();
    let end = |local| Net {
        local,
        peers: nodes.without(local),
        clock: LogicalClock::default(),
        inboxes: Arc::clone(&inboxes),
    };
    nodes.iter().map(|node| Arc::new(end(node))).collect()
}

impl Net {
    fn inbox(&self, node: NodeId) -> shuttle::sync::MutexGuard<'_, Inbox> {
        self.inboxes[node.index()].lock().unwrap()
    }

    /// The node dies: of what it sent, some arrives, and then the others find it gone.
    pub(crate) fn die(&self) {
        for peer in self.peers {
            let mut inbox = self.inbox(peer);
            for ((from, _), frames) in &mut inbox.streams {
                if *from == self.local {
                    frames.truncate(thread_rng().gen_range(0..=frames.len()));
                }
            }
            inbox.streams.retain(|_, frames| !frames.is_empty());
            inbox.lose(self.local, Loss::Closed);
        }
    }
}

impl Transport for Net {
    fn local(&self) -> NodeId {
        self.local
    }

    fn peers(&self) -> NodeSet {
        self.peers
    }

    fn clock(&self) -> &LogicalClock {
        &self.clock
    }

    fn send(&self, to: NodeId, class: Class, frame: Frame) -> Result<(), SendError> {
        let stamp = self.clock.now();
        let mut inbox = self.inbox(to);
        if !inbox.linked.contains(self.local) {
            return Err(SendError::Lost(to));
        }
        let stream = inbox.streams.entry((self.local, class.index()));
        stream.or_default().push_back(Frame { stamp, ..frame });
        Ok(())
    }

    fn poll(&self, sink: &mut dyn FnMut(Event)) -> usize {
        let event = self.inbox(self.local).take();
        let any = usize::from(event.is_some());
        event.into_iter().for_each(sink);
        any
    }

    fn ready(&self) -> BorrowedFd<'_> {
        unreachable!("these pumps never sleep")
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    fn sever(&self, node: NodeId, loss: Loss) {
        // No test here has a peer that a sound node cuts off.
        panic!("the link to node {node} was cut: {loss}");
    }

    fn close(&self) {
        self.die();
    }
}
