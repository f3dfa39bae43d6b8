//! What waits for one node of an in-process cluster.

use std::collections::VecDeque;
use std::io;
use std::sync::PoisonError;

use giantvm_core::wire::{Class, Frame};
use giantvm_core::{MAX_NODES, NodeId, NodeSet};

use crate::admission::{QUEUE_LIMIT, charge};
use crate::sync::{Bell, Mutex, MutexGuard};
use crate::wake::Wake;
use crate::{Event, Loss, SendError};

/// Frames and losses on their way to one node.
#[derive(Debug)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    wake: Wake,
}

#[derive(Debug)]
struct State {
    /// Frames in the order of their arrival, by class.
    frames: [VecDeque<Frame>; Class::ALL.len()],
    /// Bytes charged for a sender's frames, by class: the bound of the queues.
    charged: Vec<[usize; Class::ALL.len()]>,
    /// Losses to deliver once no frame waits any more.
    losses: VecDeque<(NodeId, Loss)>,
    /// Peers whose link is up.
    linked: NodeSet,
}

impl State {
    fn next(&mut self) -> Option<Event> {
        for class in Class::ALL {
            if let Some(frame) = self.frames[class.index()].pop_front() {
                self.charged[frame.from.index()][class.index()] -= charge(&frame);
                return Some(Event::Frame { class, frame });
            }
        }
        let (node, loss) = self.losses.pop_front()?;
        Some(Event::Lost { node, loss })
    }

    fn is_empty(&self) -> bool {
        self.losses.is_empty() && self.frames.iter().all(VecDeque::is_empty)
    }
}

impl Mailbox {
    pub(super) fn new(linked: NodeSet) -> io::Result<Self> {
        let state = State {
            frames: Default::default(),
            charged: vec![[0; Class::ALL.len()]; MAX_NODES],
            losses: VecDeque::new(),
            linked,
        };
        Ok(Self {
            state: Mutex::new(state),
            wake: Wake::new()?,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock: the state is whole in any case.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_linked(&self, peer: NodeId) -> bool {
        self.lock().linked.contains(peer)
    }

    /// Queues a frame of `from` for this mailbox's node, which is `to`.
    pub(super) fn post(
        &self,
        from: NodeId,
        to: NodeId,
        class: Class,
        frame: &Frame,
    ) -> Result<(), SendError> {
        let mut state = self.lock();
        if !state.linked.contains(from) {
            return Err(SendError::Lost(to));
        }
        let charged = &mut state.charged[from.index()][class.index()];
        if *charged + charge(frame) > QUEUE_LIMIT {
            return Err(SendError::Full {
                node: to,
                limit: QUEUE_LIMIT,
            });
        }
        *charged += charge(frame);
        state.frames[class.index()].push_back(frame.clone());
        self.wake.set();
        Ok(())
    }

    /// Ends the link to `peer`; what it sent before is still delivered, and the loss after it.
    pub(super) fn lose(&self, peer: NodeId, loss: Loss) {
        let mut state = self.lock();
        if state.linked.contains(peer) {
            state.linked = state.linked.without(peer);
            state.losses.push_back((peer, loss));
            self.wake.set();
        }
    }

    /// Ends the link to `peer` and forgets what it sent.
    pub(super) fn sever(&self, peer: NodeId, loss: Loss) {
        let mut state = self.lock();
        for queue in &mut state.frames {
            queue.retain(|frame| frame.from != peer);
        }
        state.charged[peer.index()] = Default::default();
        if state.linked.contains(peer) {
            state.linked = state.linked.without(peer);
            state.losses.push_back((peer, loss));
            self.wake.set();
        }
    }

    /// Ends all links from this node's side: nothing is delivered any more.
    pub(super) fn shut(&self) {
        let mut state = self.lock();
        state.linked = NodeSet::EMPTY;
        state.losses.clear();
        state.frames.iter_mut().for_each(VecDeque::clear);
        self.wake.clear();
    }

    /// The most urgent event that waits.
    pub(super) fn take(&self) -> Option<Event> {
        let mut state = self.lock();
        let event = state.next();
        if state.is_empty() {
            self.wake.clear();
        }
        event
    }

    /// Rings while something waits.
    pub(super) fn bell(&self) -> &Bell {
        self.wake.bell()
    }
}
