//! A network that holds back what is posted, and delivers in any order that a transport may.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use giantvm_core::wire::{Class, Frame};
use giantvm_core::{NodeId, NodeSet};
use giantvm_transport::{Event, LogicalClock, Loss, SendError, Traffic, Transport};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The kind of a frame that carries several letters.
const SHEAF: u8 = u8::MAX - 1;

/// Sender, receiver and class: what keeps its order.
type Stream = (NodeId, NodeId, usize);

#[derive(Debug)]
struct State {
    rng: SmallRng,
    /// What may arrive. No queue is empty.
    sent: BTreeMap<Stream, VecDeque<Frame>>,
    /// What waits for its sender's flush.
    posted: BTreeMap<Stream, VecDeque<Frame>>,
    sheaves: usize,
}

impl State {
    fn release(&mut self, stream: Stream) {
        if let Some(frames) = self.posted.remove(&stream) {
            self.sent.entry(stream).or_default().extend(frames);
        }
    }
}

/// One node's end.
#[derive(Debug)]
pub(crate) struct End {
    local: NodeId,
    nodes: NodeSet,
    clock: LogicalClock,
    state: Arc<Mutex<State>>,
}

/// The ends of a network of `count` nodes.
pub(crate) fn network(count: usize, seed: u64) -> Vec<Arc<End>> {
    let nodes = NodeSet::first(count);
    let state = Arc::new(Mutex::new(State {
        rng: SmallRng::seed_from_u64(seed),
        sent: BTreeMap::new(),
        posted: BTreeMap::new(),
        sheaves: 0,
    }));
    let end = |local| End {
        local,
        nodes,
        clock: LogicalClock::default(),
        state: Arc::clone(&state),
    };
    nodes.iter().map(|node| Arc::new(end(node))).collect()
}

impl End {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Whether nothing is under way between any nodes.
    pub(crate) fn is_quiet(&self) -> bool {
        self.state().sent.is_empty()
    }

    /// Frames of several letters that were sent so far.
    pub(crate) fn sheaves(&self) -> usize {
        self.state().sheaves
    }

    fn stream(&self, to: NodeId, class: Class) -> Stream {
        (self.local, to, class.index())
    }

    fn put(&self, stream: Stream, frame: Frame) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.sheaves += usize::from(frame.kind == SHEAF);
        let stamp = self.clock.now();
        let frames = state.posted.entry(stream).or_default();
        frames.push_back(Frame { stamp, ..frame });
        state
    }
}

impl Transport for End {
    fn local(&self) -> NodeId {
        self.local
    }

    fn peers(&self) -> NodeSet {
        self.nodes.without(self.local)
    }

    fn clock(&self) -> &LogicalClock {
        &self.clock
    }

    fn send(&self, to: NodeId, class: Class, frame: Frame) -> Result<(), SendError> {
        let stream = self.stream(to, class);
        self.put(stream, frame).release(stream);
        Ok(())
    }

    fn post(&self, to: NodeId, class: Class, frame: Frame, page: &[u8]) -> Result<(), SendError> {
        let payload = match page {
            [] => frame.payload,
            page => Bytes::copy_from_slice(page),
        };
        let stream = self.stream(to, class);
        let mut state = self.put(stream, Frame { payload, ..frame });
        // A queue that is full is not held back.
        if state.rng.random_ratio(1, 8) {
            state.release(stream);
        }
        Ok(())
    }

    fn flush(&self) {
        let mut state = self.state();
        let streams: Vec<_> = state.posted.keys().copied().collect();
        for stream in streams {
            if stream.0 == self.local {
                state.release(stream);
            }
        }
    }

    /// One frame, of any stream.
    fn poll(&self, sink: &mut dyn FnMut(Event)) -> usize {
        let mut state = self.state();
        let streams = state.sent.keys().filter(|stream| stream.1 == self.local);
        let streams: Vec<_> = streams.copied().collect();
        if streams.is_empty() {
            return 0;
        }
        let stream = streams[state.rng.random_range(0..streams.len())];
        let frames = state.sent.get_mut(&stream).unwrap();
        let frame = frames.pop_front().unwrap();
        if frames.is_empty() {
            state.sent.remove(&stream);
        }
        drop(state);
        let class = Class::ALL[stream.2];
        sink(Event::Frame { class, frame });
        1
    }

    fn ready(&self) -> BorrowedFd<'_> {
        unreachable!("nobody sleeps here")
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    fn sever(&self, node: NodeId, loss: Loss) {
        panic!("the link to node {node} was cut: {loss}");
    }

    fn close(&self) {}
}
