//! The data phase: sockets without threads.

use std::io;
use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use giantvm_core::wire::{Class, Frame, Limits};
use giantvm_core::{Epoch, MAX_NODES, NodeId, NodeSet};
use rustix::io::Errno;

use super::connection::{Connection, unseen_by_reader};
use super::input::{Effort, Input, Round};
use super::keepalive::TICK;
use super::open::OpenLinks;
use super::output::Sent;
use super::pipe_input::PipeInput;
use super::piped::PipeOutput;
use super::poller::Poller;
use crate::pipe::ends::Pipes;
use crate::traffic::Counters;
use crate::{Event, LogicalClock, Loss, QUEUE_LIMIT, SendError, Traffic, Transport, admission};

/// What a join leaves of one peer.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) node: NodeId,
    /// By class, each with the bytes that arrived after the last message of the join.
    pub(crate) connections: [(TcpStream, BytesMut); Class::ALL.len()],
    /// The pipes, if the peer is on this host.
    pub(crate) pipes: Option<Pipes>,
}

/// Links over TCP: one connection per peer and class, so that an urgent frame never waits behind
/// a bulk page. With a peer of the same host, frames go through pipes in shared memory beside them.
///
/// Made by a [`Connector`](crate::Connector). It has no threads: [`poll`](Transport::poll) reads,
/// flushes, sends heartbeats and judges silence, and only one thread may be in it at a time (a
/// second one gets 0).
#[derive(Debug)]
pub struct TcpTransport {
    pub(super) local: NodeId,
    pub(super) epoch: Epoch,
    pub(super) limits: Limits,
    peers: NodeSet,
    near: NodeSet,
    /// Those with pipes.
    adjacent: NodeSet,
    seats: Vec<Option<Seat>>,
    pub(super) open: OpenLinks,
    pub(super) poller: Poller,
    input: Mutex<Input>,
    pub(super) counters: Counters,
    clock: LogicalClock,
    started: Instant,
    /// The last tick, in microseconds since the start: near enough for signs of life, and looking at the
    /// clock for each frame costs more.
    ticked: AtomicU64,
    /// The peers that frames were posted to since the last flush, by class.
    posted: [AtomicU64; Class::ALL.len()],
}

/// Whether a frame may wait for others that go the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Haste {
    Now,
    WithOthers,
}

/// The sending side of one peer.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) connections: [Connection; Class::ALL.len()],
    pub(super) pipes: Option<PipeOutput>,
    /// The tick after which a control frame was last sent, in microseconds since the start.
    last_sent: AtomicU64,
}

impl TcpTransport {
    /// Takes over the connections that a join made.
    pub(crate) fn start(
        local: NodeId,
        epoch: Epoch,
        limits: Limits,
        joined: impl IntoIterator<Item = Joined>,
    ) -> io::Result<Self> {
        let poller = Poller::new(TICK)?;
        let mut seats: Vec<Option<Seat>> = (0..MAX_NODES).map(|_| None).collect();
        let (mut peers, mut near, mut adjacent) = (NodeSet::EMPTY, NodeSet::EMPTY, NodeSet::EMPTY);
        let mut buffers = Vec::new();
        for Joined {
            node,
            connections,
            pipes,
        } in joined
        {
            let mut leftover = Vec::new();
            let connections = connections.map(|(socket, buffer)| {
                let class = Class::ALL[leftover.len()];
                leftover.push(buffer);
                Connection::new(node, class, socket)
            });
            for connection in &connections {
                connection.start(&poller)?;
            }
            peers = peers.with(node);
            if pipes.is_some() || connections.iter().all(Connection::is_on_this_host) {
                near = near.with(node);
            }
            if pipes.is_some() {
                adjacent = adjacent.with(node);
            }
            let mut receiving = None;
            let pipes = pipes.map(|pipes| {
                let output = PipeOutput::new(pipes.output, Arc::clone(&pipes.bell));
                receiving = Some(PipeInput::new(pipes.input, pipes.bell));
                output
            });
            if let Some(receiving) = &receiving {
                poller.watch_bell(receiving.bell(), node)?;
            }
            buffers.push((node, leftover, receiving));
            seats[node.index()] = Some(Seat {
                connections,
                pipes,
                last_sent: AtomicU64::new(0),
            });
        }
        // What arrived with the last message of the join waits in the buffers already.
        poller.alarm.raise();
        Ok(Self {
            local,
            epoch,
            limits,
            peers,
            near,
            adjacent,
            seats,
            open: OpenLinks::new(local, peers),
            poller,
            input: Mutex::new(Input::new(buffers)),
            counters: Counters::default(),
            clock: LogicalClock::default(),
            started: Instant::now(),
            ticked: AtomicU64::new(0),
            posted: Default::default(),
        })
    }

    /// The membership epoch that the cluster agreed on.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn seat(&self, node: NodeId) -> Option<&Seat> {
        self.seats[node.index()].as_ref()
    }

    /// Ends the link to `node` after `error`, unless reading will find why.
    pub(super) fn send_failed(&self, node: NodeId, error: Errno) {
        if let Some(loss) = unseen_by_reader(error) {
            self.poller.alarm.sever(node, loss);
        }
    }

    fn receive(&self, sink: &mut dyn FnMut(Event), effort: Effort) -> usize {
        let mut input = match self.input.try_lock() {
            Ok(input) => input,
            // A sink panicked: what it saw is consumed, the rest is whole.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return 0,
        };
        Round::new(self, &mut input, sink).run(effort)
    }

    /// Notes that it is `now` for whatever is sent from now on.
    pub(super) fn ticks(&self, now: Duration) {
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        self.ticked.store(micros, Ordering::Relaxed);
    }

    /// When a control frame was last sent to `node`, or up to a tick before.
    pub(super) fn last_sent(&self, node: NodeId) -> Duration {
        let micros = |seat: &Seat| seat.last_sent.load(Ordering::Relaxed);
        Duration::from_micros(self.seat(node).map_or(0, micros))
    }

    /// Sends a frame of the transport's own, which goes over the connection.
    pub(super) fn beat(&self, to: NodeId, frame: &Frame) -> Result<(), SendError> {
        let seat = self.seat(to).ok_or(SendError::NoPeer(to))?;
        let connection = &seat.connections[Class::Control.index()];
        let sent = connection.send(&self.poller, frame, &[]);
        self.account(seat, (to, Class::Control), frame, 0, sent)
    }

    /// Sends the caller's frame, with `page` for its payload if that is not empty.
    fn dispatch(
        &self,
        to: NodeId,
        class: Class,
        frame: Frame,
        page: &[u8],
        haste: Haste,
    ) -> Result<(), SendError> {
        let is_linked = |to| self.open.peers().contains(to);
        let payload = frame.payload.len().max(page.len());
        let (peers, limits) = (self.peers, self.limits);
        let frame = admission::take(frame, payload, to, peers, limits, &self.clock, is_linked)?;
        let seat = self.seat(to).ok_or(SendError::NoPeer(to))?;
        let connection = &seat.connections[class.index()];
        let sent = match (&seat.pipes, haste) {
            (Some(pipes), Haste::Now) => pipes.send(&self.poller.alarm, class, &frame, page),
            (Some(pipes), Haste::WithOthers) => {
                let sent = pipes.post(&self.poller.alarm, class, &frame, page);
                self.note_post(to, class);
                sent
            }
            (None, Haste::Now) => connection.send(&self.poller, &frame, page),
            (None, Haste::WithOthers) => {
                let sent = connection.post(&self.poller, &frame, page);
                self.note_post(to, class);
                sent
            }
        };
        self.account(seat, (to, class), &frame, page.len(), sent)
    }

    fn note_post(&self, to: NodeId, class: Class) {
        let (posted, bit) = (&self.posted[class.index()], NodeSet::only(to).bits());
        if posted.load(Ordering::Relaxed) & bit == 0 {
            posted.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Counts what was sent with `more` bytes than the frame has, or reports why it was not.
    fn account(
        &self,
        seat: &Seat,
        (to, class): (NodeId, Class),
        frame: &Frame,
        more: usize,
        sent: Sent,
    ) -> Result<(), SendError> {
        match sent {
            Sent::Now | Sent::Queued { .. } => {}
            Sent::Full => {
                return Err(SendError::Full {
                    node: to,
                    limit: QUEUE_LIMIT,
                });
            }
            Sent::Failed(error) => {
                self.send_failed(to, error);
                return Err(SendError::Lost(to));
            }
        }
        self.counters.sent(frame, more);
        if class == Class::Control {
            let tick = self.ticked.load(Ordering::Relaxed);
            seat.last_sent.store(tick, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Transport for TcpTransport {
    fn local(&self) -> NodeId {
        self.local
    }

    fn peers(&self) -> NodeSet {
        self.peers
    }

    fn near(&self) -> NodeSet {
        self.near
    }

    fn adjacent(&self) -> NodeSet {
        self.adjacent
    }

    fn clock(&self) -> &LogicalClock {
        &self.clock
    }

    fn send(&self, to: NodeId, class: Class, frame: Frame) -> Result<(), SendError> {
        self.dispatch(to, class, frame, &[], Haste::Now)
    }

    fn send_page(
        &self,
        to: NodeId,
        class: Class,
        frame: Frame,
        page: &[u8],
    ) -> Result<(), SendError> {
        self.dispatch(to, class, frame, page, Haste::Now)
    }

    fn post(&self, to: NodeId, class: Class, frame: Frame, page: &[u8]) -> Result<(), SendError> {
        self.dispatch(to, class, frame, page, Haste::WithOthers)
    }

    fn flush(&self) {
        for (class, posted) in Class::ALL.into_iter().zip(&self.posted) {
            if posted.load(Ordering::Relaxed) == 0 {
                continue;
            }
            for node in NodeSet::from_bits(posted.swap(0, Ordering::Relaxed)).iter() {
                let Some(seat) = self.seat(node) else {
                    continue;
                };
                let sent = match &seat.pipes {
                    Some(pipes) => {
                        pipes.push(class);
                        Sent::Now
                    }
                    None => seat.connections[class.index()].push(&self.poller),
                };
                if let Sent::Failed(error) = sent {
                    self.send_failed(node, error);
                }
            }
        }
    }

    fn glance(&self, sink: &mut dyn FnMut(Event)) -> usize {
        self.receive(sink, Effort::Glance)
    }

    fn poll(&self, sink: &mut dyn FnMut(Event)) -> usize {
        self.receive(sink, Effort::Poll)
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.poller.fd()
    }

    fn traffic(&self) -> Traffic {
        self.counters.read()
    }

    fn sever(&self, node: NodeId, loss: Loss) {
        if self.peers.contains(node) && !self.open.is_closed() {
            self.open.shut(node);
            self.poller.alarm.sever(node, loss);
        }
    }

    fn close(&self) {
        if !self.open.close() {
            return;
        }
        self.poller.stop();
        // First the pipes: a peer reads them to their end once its connections have ended.
        for pipes in self.seats.iter().flatten().flat_map(|seat| &seat.pipes) {
            pipes.close(&self.poller);
        }
        for connection in self
            .seats
            .iter()
            .flatten()
            .flat_map(|seat| &seat.connections)
        {
            connection.close(&self.poller);
        }
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        self.close();
    }
}
