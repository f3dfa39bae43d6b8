//! The data phase: sockets without threads.

use std::io;
use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use giantvm_core::wire::{Class, Frame, Limits};
use giantvm_core::{Epoch, MAX_NODES, NodeId, NodeSet};
use rustix::io::Errno;

use super::connection::{Connection, unseen_by_reader};
use super::input::{Input, Round};
use super::keepalive::TICK;
use super::open::OpenLinks;
use super::output::Sent;
use super::poller::Poller;
use crate::traffic::Counters;
use crate::{Event, LogicalClock, Loss, QUEUE_LIMIT, SendError, Traffic, Transport, admission};

/// The three connections to one peer, as the join leaves them: by class, each with the bytes that
/// arrived after the last message of the join.
pub(crate) type Joined = [(TcpStream, BytesMut); Class::ALL.len()];

/// Links over TCP: one connection per peer and class, so that an urgent frame never waits behind
/// a bulk page.
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
    seats: Vec<Option<Seat>>,
    pub(super) open: OpenLinks,
    pub(super) poller: Poller,
    input: Mutex<Input>,
    pub(super) counters: Counters,
    clock: LogicalClock,
    started: Instant,
}

/// The sending side of one peer.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) connections: [Connection; Class::ALL.len()],
    /// When a control frame was last sent, in microseconds since the start.
    last_sent: AtomicU64,
}

impl TcpTransport {
    /// Takes over the connections that a join made.
    pub(crate) fn start(
        local: NodeId,
        epoch: Epoch,
        limits: Limits,
        joined: impl IntoIterator<Item = (NodeId, Joined)>,
    ) -> io::Result<Self> {
        let poller = Poller::new(TICK)?;
        let mut seats: Vec<Option<Seat>> = (0..MAX_NODES).map(|_| None).collect();
        let (mut peers, mut buffers) = (NodeSet::EMPTY, Vec::new());
        for (node, connections) in joined {
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
            buffers.push((node, leftover));
            seats[node.index()] = Some(Seat {
                connections,
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
            seats,
            open: OpenLinks::new(local, peers),
            poller,
            input: Mutex::new(Input::new(buffers)),
            counters: Counters::default(),
            clock: LogicalClock::default(),
            started: Instant::now(),
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

    pub(super) fn last_sent(&self, node: NodeId) -> Duration {
        let micros = |seat: &Seat| seat.last_sent.load(Ordering::Relaxed);
        Duration::from_micros(self.seat(node).map_or(0, micros))
    }

    /// Sends without the checks that concern the caller's side.
    pub(super) fn dispatch(
        &self,
        to: NodeId,
        class: Class,
        frame: &Frame,
    ) -> Result<(), SendError> {
        let seat = self.seat(to).ok_or(SendError::NoPeer(to))?;
        let connection = &seat.connections[class.index()];
        match connection.send(&self.poller, frame) {
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
        self.counters.sent(frame);
        if class == Class::Control {
            let micros = u64::try_from(self.now().as_micros()).unwrap_or(u64::MAX);
            seat.last_sent.store(micros, Ordering::Relaxed);
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

    fn clock(&self) -> &LogicalClock {
        &self.clock
    }

    fn send(&self, to: NodeId, class: Class, frame: Frame) -> Result<(), SendError> {
        let is_linked = |to| self.open.peers().contains(to);
        let frame = admission::take(frame, to, self.peers, self.limits, &self.clock, is_linked)?;
        self.dispatch(to, class, &frame)
    }

    fn poll(&self, sink: &mut dyn FnMut(Event)) -> usize {
        let mut input = match self.input.try_lock() {
            Ok(input) => input,
            // A sink panicked: what it saw is consumed, the rest is whole.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return 0,
        };
        Round::new(self, &mut input, sink).run()
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
