//! The receiving side: one round of reading, judging and delivering.

use std::os::fd::AsFd;
use std::time::Duration;

use bytes::BytesMut;
use giantvm_core::wire::{Class, Frame};
use giantvm_core::{MAX_NODES, NodeId};
use rustix::io::Errno;

use super::keepalive::Keepalive;
use super::pipe_input::PipeInput;
use super::piped::PipeOutput;
use super::poller::{Signal, Signals};
use super::transport::TcpTransport;
use crate::admission::{Admission, admit};
use crate::link::Kind;
use crate::{Event, Loss};

/// Most frames of each class that one round delivers. Every class gets its turn in every round,
/// so none starves, and an urgent frame waits for at most a few bulk ones.
const BUDGET: [usize; Class::ALL.len()] = [64, 32, 8];
/// Most reads of one connection in one round.
const READS: usize = 4;
/// Bytes of one read.
const CHUNK: usize = 64 << 10;
/// How long the other connections of a peer may take to end after the first one did. They are
/// read to their end, so that what was flushed before a close is not lost.
const ENDING: Duration = Duration::from_millis(200);

/// The receiving half of one connection.
#[derive(Debug, Default)]
struct Link {
    buffer: BytesMut,
    /// The socket may have more.
    readable: bool,
    /// The buffer may hold a whole frame, or the pipe more bytes.
    backlog: bool,
    /// The connection ended.
    ended: bool,
    /// And so did what was in the pipe.
    drained: bool,
}

/// How hard to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// The peers are asked to ring for what comes later.
    Poll,
    /// They are not: the caller comes again at once.
    Glance,
}

/// How long the connections may be passed over, which costs a system call, where every peer has pipes:
/// they bring news of its end at most, and stay [ready](crate::Transport::ready) until they are read.
const GLANCES: Duration = Duration::from_micros(50);
/// Glances of which one looks at the clock.
const CLOCK: u32 = 16;

#[derive(Debug)]
enum State {
    Up,
    /// A connection ended; the others are read to their end.
    Ending {
        since: Duration,
    },
    Lost,
}

#[derive(Debug)]
struct Peer {
    node: NodeId,
    state: State,
    links: [Link; Class::ALL.len()],
    pipes: Option<PipeInput>,
}

/// What the receiving side remembers between rounds.
#[derive(Debug)]
pub(super) struct Input {
    peers: Vec<Peer>,
    /// Where a node is in `peers`.
    places: Vec<usize>,
    keepalive: Keepalive,
    scratch: Vec<u8>,
    /// Which peer comes first in the next round.
    turn: usize,
    signals: Signals,
    /// When everything was looked at last.
    looked: Duration,
    /// How often only pipes were looked at.
    glances: u32,
}

impl Input {
    pub(super) fn new(joined: Vec<(NodeId, Vec<BytesMut>, Option<PipeInput>)>) -> Self {
        let mut places = vec![usize::MAX; MAX_NODES];
        let mut peers = Vec::new();
        for (node, buffers, pipes) in joined {
            places[node.index()] = peers.len();
            let mut links: [Link; Class::ALL.len()] = Default::default();
            for (link, buffer) in links.iter_mut().zip(buffers) {
                link.backlog = !buffer.is_empty();
                link.buffer = buffer;
            }
            peers.push(Peer {
                node,
                state: State::Up,
                links,
                pipes,
            });
        }
        Self {
            peers,
            places,
            keepalive: Keepalive::new(Duration::ZERO),
            scratch: vec![0; CHUNK],
            turn: 0,
            signals: Signals::new(),
            looked: Duration::ZERO,
            glances: 0,
        }
    }
}

/// One call of `poll`.
pub(super) struct Round<'a> {
    transport: &'a TcpTransport,
    input: &'a mut Input,
    sink: &'a mut dyn FnMut(Event),
    delivered: usize,
}

impl<'a> Round<'a> {
    pub(super) fn new(
        transport: &'a TcpTransport,
        input: &'a mut Input,
        sink: &'a mut dyn FnMut(Event),
    ) -> Self {
        Self {
            transport,
            input,
            sink,
            delivered: 0,
        }
    }

    pub(super) fn run(mut self, effort: Effort) -> usize {
        if self.transport.open.is_closed() {
            return 0;
        }
        let rang = self.disarm();
        let piped = |peer: &Peer| peer.pipes.is_some() || matches!(peer.state, State::Lost);
        if rang || !self.input.peers.iter().all(piped) || self.is_time(effort) {
            self.input.looked = self.transport.now();
            self.look_at_all();
        } else {
            Class::ALL
                .into_iter()
                .for_each(|class| self.receive_class(class));
        }
        if effort == Effort::Poll {
            self.arm();
        }
        self.delivered
    }

    /// Whether the connections were passed over for long enough. Looking at the clock takes longer than
    /// at a pipe, so that is passed over too, but before the caller may sleep.
    fn is_time(&mut self, effort: Effort) -> bool {
        self.input.glances = self.input.glances.wrapping_add(1);
        let asks = effort == Effort::Poll || self.input.glances.is_multiple_of(CLOCK);
        asks && self.transport.now() >= self.input.looked + GLANCES
    }

    /// Spares the peers the ringing. Whether one may have rung: its bell is to be silenced.
    fn disarm(&mut self) -> bool {
        let mut rang = false;
        for peer in &mut self.input.peers {
            if let Some(pipes) = &mut peer.pipes
                && let Some(by_writer) = pipes.disarm()
            {
                let seat = self.transport.seat(peer.node);
                let output = seat.and_then(|seat| seat.pipes.as_ref());
                rang |= by_writer || output.is_some_and(PipeOutput::waits);
            }
        }
        rang
    }

    /// Has the peers ring for what they write from now on.
    fn arm(&mut self) {
        for place in 0..self.input.peers.len() {
            let peer = &mut self.input.peers[place];
            let Some(pipes) = peer.pipes.as_mut() else {
                continue;
            };
            match pipes.arm() {
                Ok(true) => self.transport.poller.alarm.raise(),
                Ok(false) => {}
                Err(_) => self.lose(place, Loss::Pipe),
            }
        }
    }

    fn look_at_all(&mut self) {
        for link in self.input.peers.iter_mut().flat_map(|peer| &mut peer.links) {
            link.readable = false;
        }
        let mut tick = false;
        let poller = &self.transport.poller;
        if poller.alarm.is_raised() {
            // Someone found room in a pipe just before it would have waited for it.
            self.input
                .peers
                .iter()
                .for_each(|peer| self.flush_pipes(peer.node));
        }
        poller.look(&mut self.input.signals);
        while let Some(signal) = poller.next(&mut self.input.signals) {
            match signal {
                Signal::Tick => tick = true,
                Signal::Bell { node } => {
                    let place = self.input.places[node.index()];
                    if let Some(pipes) = &self.input.peers[place].pipes
                        && !pipes.bell().silence()
                    {
                        // The connections tell when the peer is gone. If it only let go of its bell, it
                        // is heard of at every tick.
                        poller.forget(pipes.bell().as_fd());
                    }
                    self.flush_pipes(node);
                }
                Signal::Link {
                    node,
                    class,
                    read,
                    write,
                } => {
                    if write {
                        self.flush(node, class);
                    }
                    let place = self.input.places[node.index()];
                    self.input.peers[place].links[class.index()].readable = read;
                }
            }
        }
        self.end_severed();
        self.input.turn = self.input.turn.wrapping_add(1);
        for class in Class::ALL {
            self.receive_class(class);
        }
        if tick {
            self.tick();
        }
        let mut links = self.input.peers.iter().flat_map(|peer| &peer.links);
        if links.any(|link| link.backlog) {
            self.transport.poller.alarm.raise();
        }
    }

    fn flush_pipes(&self, node: NodeId) {
        let seat = self.transport.seat(node);
        if let Some(pipes) = seat.and_then(|seat| seat.pipes.as_ref())
            && let Err(error) = pipes.flush(&self.transport.poller.alarm)
        {
            self.transport.send_failed(node, error);
        }
    }

    fn deliver(&mut self, event: Event) {
        self.delivered += 1;
        (self.sink)(event);
    }

    fn flush(&self, node: NodeId, class: Class) {
        if let Some(seat) = self.transport.seat(node) {
            let connection = &seat.connections[class.index()];
            if let Err(error) = connection.flush(&self.transport.poller) {
                self.transport.send_failed(node, error);
            }
        }
    }

    fn end_severed(&mut self) {
        for (node, loss) in self.transport.poller.alarm.take() {
            self.lose(self.input.places[node.index()], loss);
        }
    }

    /// Delivers frames of one class, every peer in turn.
    fn receive_class(&mut self, class: Class) {
        let (mut budget, peers) = (BUDGET[class.index()], self.input.peers.len());
        for step in 0..peers {
            let place = self.input.turn.wrapping_add(step) % peers;
            // A fair share of what is left.
            let share = budget.div_ceil(peers - step);
            budget -= self.receive(place, class, share);
        }
    }

    /// Delivers up to `limit` frames of one connection and says how many there were.
    fn receive(&mut self, place: usize, class: Class, limit: usize) -> usize {
        let (mut count, mut reads) = (0, 0);
        loop {
            let peer = &mut self.input.peers[place];
            if matches!(peer.state, State::Lost) || self.transport.open.is_closed() {
                return count;
            }
            let link = &mut peer.links[class.index()];
            if count == limit {
                // Nonsense is found by the next read.
                let more = |pipes: &PipeInput| pipes.has_more(class) != Ok(false);
                link.backlog = !link.buffer.is_empty() || peer.pipes.as_ref().is_some_and(more);
                return count;
            }
            match Frame::decode(&mut link.buffer, self.transport.limits) {
                Ok(Some(frame)) => count += self.take(place, class, frame),
                Ok(None) => {
                    link.backlog = false;
                    if reads == READS {
                        link.backlog = peer.pipes.is_some();
                        return count;
                    }
                    if let Some(pipes) = &mut peer.pipes {
                        match pipes.read(class, &mut link.buffer) {
                            Ok(true) => {
                                reads += 1;
                                self.input.keepalive.heard(peer.node, self.transport.now());
                                continue;
                            }
                            Ok(false) if link.ended && !link.drained => {
                                self.drained(place, class);
                                continue;
                            }
                            Ok(false) => {}
                            Err(_) => {
                                self.lose(place, Loss::Pipe);
                                continue;
                            }
                        }
                    }
                    if !link.readable {
                        return count;
                    }
                    reads += 1;
                    self.read(place, class);
                }
                Err(error) => self.lose(place, Loss::Protocol(error)),
            }
        }
    }

    /// Delivers one frame unless it is the transport's own; 1 if it was delivered.
    fn take(&mut self, place: usize, class: Class, frame: Frame) -> usize {
        self.transport.counters.received(&frame);
        match admit(&frame, self.input.peers[place].node) {
            Ok(Admission::Deliver) => {
                self.deliver(Event::Frame { class, frame });
                // The sink may have found the frame to be wrong.
                self.end_severed();
                1
            }
            Ok(Admission::Heartbeat) => 0,
            Err(loss) => {
                self.lose(place, loss);
                0
            }
        }
    }

    /// Reads once from a socket.
    fn read(&mut self, place: usize, class: Class) {
        let peer = &mut self.input.peers[place];
        let Some(seat) = self.transport.seat(peer.node) else {
            return;
        };
        let link = &mut peer.links[class.index()];
        let socket = &seat.connections[class.index()].socket;
        match rustix::io::read(socket, &mut self.input.scratch[..]) {
            Ok(0) | Err(Errno::CONNRESET | Errno::PIPE) => self.end(place, class),
            Ok(count) => {
                link.buffer.extend_from_slice(&self.input.scratch[..count]);
                link.readable = count == self.input.scratch.len();
                self.input.keepalive.heard(peer.node, self.transport.now());
            }
            Err(Errno::AGAIN) => link.readable = false,
            Err(Errno::INTR) => {}
            Err(error) => self.lose(place, Loss::Io(std::io::Error::from(error).to_string())),
        }
    }

    /// Notes that one connection of a peer ended.
    fn end(&mut self, place: usize, class: Class) {
        let peer = &mut self.input.peers[place];
        let link = &mut peer.links[class.index()];
        (link.ended, link.readable) = (true, false);
        let piped = peer.pipes.is_some();
        self.transport.open.shut(peer.node);
        if let Some(seat) = self.transport.seat(peer.node) {
            let socket = seat.connections[class.index()].socket.as_fd();
            self.transport.poller.forget(socket);
        }
        if matches!(peer.state, State::Up) {
            let since = self.transport.now();
            peer.state = State::Ending { since };
        }
        if piped {
            // What it wrote to the pipe before is there now, and is read next.
            self.transport.poller.alarm.raise();
        } else {
            self.drained(place, class);
        }
    }

    /// Notes that nothing more comes of one class of a peer.
    fn drained(&mut self, place: usize, class: Class) {
        let peer = &mut self.input.peers[place];
        peer.links[class.index()].drained = true;
        if peer.links.iter().all(|link| link.drained) {
            self.lose(place, Loss::Closed);
        }
    }

    /// Ends the link to a peer, for good.
    fn lose(&mut self, place: usize, loss: Loss) {
        let peer = &mut self.input.peers[place];
        if matches!(peer.state, State::Lost) {
            return;
        }
        peer.state = State::Lost;
        peer.links = Default::default();
        if let Some(pipes) = peer.pipes.take() {
            // The peer has a descriptor of it too, so it would be watched for ever.
            self.transport.poller.forget(pipes.bell().as_fd());
        }
        let node = peer.node;
        self.transport.open.shut(node);
        if let Some(seat) = self.transport.seat(node) {
            for connection in &seat.connections {
                connection.cut(&self.transport.poller);
            }
            if let Some(pipes) = &seat.pipes {
                pipes.cut();
            }
        }
        self.deliver(Event::Lost { node, loss });
    }

    /// Judges silence, sends heartbeats, and ends what did not end by itself.
    fn tick(&mut self) {
        let now = self.transport.now();
        self.transport.ticks(now);
        for peer in &self.input.peers {
            // What waits unread is a sign of life too.
            if peer.links.iter().any(|link| link.readable || link.backlog) {
                self.input.keepalive.heard(peer.node, now);
            }
        }
        let up = self.transport.open.peers();
        let last_sent = |node| self.transport.last_sent(node);
        let found = self.input.keepalive.tick(now, up, last_sent);
        if let Some(late) = found.stood_still {
            let ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(ms, "this node stood still: its peers may take it for lost");
        }
        for node in found.silent {
            let silence = self.input.keepalive.silence(node, now).as_millis();
            let loss = Loss::Silent(u64::try_from(silence).unwrap_or(u64::MAX));
            self.lose(self.input.places[node.index()], loss);
        }
        for node in found.beat.minus(found.silent) {
            let beat = Kind::Heartbeat.empty(self.transport.local, self.transport.epoch);
            // A full queue is a peer that does not read; its silence will tell.
            self.transport.beat(node, &beat).ok();
        }
        for place in 0..self.input.peers.len() {
            if let State::Ending { since } = self.input.peers[place].state
                && now.saturating_sub(since) > ENDING
            {
                self.lose(place, Loss::Closed);
            }
        }
    }
}
