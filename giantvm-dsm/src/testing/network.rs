//! The virtual clock and what is going to happen: messages, faults, threads and timers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use bytes::Bytes;
use giantvm_core::{NodeId, NodeSet, PageIndex, Stamp};
use rand::Rng;
use rand::rngs::SmallRng;

use super::chaos::{Afterwards, Chaos};
use crate::backing::Fault;
use crate::protocol::{Contents, PageMessage, Tick};

/// Most messages of a stream that are sent once more when its link is made anew.
const RESENT: usize = 4;

/// A message under way.
#[derive(Debug, Clone)]
pub(super) struct Letter<M> {
    pub from: NodeId,
    pub message: M,
    pub payload: Option<Bytes>,
    /// Its place in its stream.
    pub number: u32,
    /// How many messages led to it, one after the other, itself included.
    pub hops: u32,
}

impl<M> Letter<M> {
    pub(super) const fn contents(&self) -> Contents {
        match self.payload {
            Some(_) => Contents::Page,
            None => Contents::Nothing,
        }
    }
}

/// Something that is going to happen.
#[derive(Debug, Clone)]
pub(super) enum Event<M> {
    /// A message arrives.
    Deliver { to: NodeId, letter: Letter<M> },
    /// Something that was sent beside the memory arrives.
    Heard {
        from: NodeId,
        to: NodeId,
        stamp: Stamp,
    },
    /// A node's driver takes up a fault.
    Fault { at: NodeId, fault: Fault },
    /// A thread goes on.
    Run { at: NodeId, thread: usize },
    /// A protocol's time-out is due.
    Timeout { at: NodeId },
    /// A device has done its work on a page.
    Unpin { at: NodeId, page: PageIndex },
    /// A node that leaves goes on doing so.
    Leaving { at: NodeId, then: Afterwards },
    /// Something disturbs the cluster.
    Chaos(Chaos),
    /// A node learns that another is gone.
    Lost { at: NodeId, node: NodeId },
}

/// An event and its place in time; the sequence number keeps equal times in order.
#[derive(Debug)]
struct Due<M> {
    at: Tick,
    sequence: u64,
    event: Event<M>,
}

impl<M> Due<M> {
    const fn key(&self) -> (Tick, u64) {
        (self.at, self.sequence)
    }
}

impl<M> PartialEq for Due<M> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<M> Eq for Due<M> {}

impl<M> PartialOrd for Due<M> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<M> Ord for Due<M> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// From, to, and whether a page is attached: the order of messages is kept within these only.
type Channel = (NodeId, NodeId, Contents);

/// What a channel remembers: when its last message arrives, and the last ones sent.
#[derive(Debug)]
struct Sent<M> {
    last: Tick,
    recent: VecDeque<Letter<M>>,
}

/// The clock, the events to come, and the source of all randomness.
#[derive(Debug)]
pub(super) struct Network<M> {
    pub now: Tick,
    pub rng: SmallRng,
    delay: Tick,
    sequence: u64,
    events: BinaryHeap<Reverse<Due<M>>>,
    sent: BTreeMap<Channel, Sent<M>>,
    /// The cuts that have not healed: who is on one side, and until when.
    cuts: Vec<(NodeSet, Tick)>,
    /// Messages under way by page, copies not counted.
    under_way: BTreeMap<PageIndex, usize>,
}

impl<M: PageMessage> Network<M> {
    pub(super) const fn new(rng: SmallRng, delay: Tick) -> Self {
        Self {
            now: Tick(0),
            rng,
            delay,
            sequence: 0,
            events: BinaryHeap::new(),
            sent: BTreeMap::new(),
            cuts: Vec::new(),
            under_way: BTreeMap::new(),
        }
    }

    /// Plans an event for a time, not before now.
    pub(super) fn at(&mut self, at: Tick, event: Event<M>) {
        self.sequence += 1;
        let (at, sequence) = (at.max(self.now), self.sequence);
        self.events.push(Reverse(Due {
            at,
            sequence,
            event,
        }));
    }

    /// Plans an event for a random time from now.
    pub(super) fn soon(&mut self, event: Event<M>) {
        let at = self.some_time(1);
        self.at(at, event);
    }

    /// Sends a message: it takes a random time but overtakes none of its own channel.
    pub(super) fn send(&mut self, to: NodeId, letter: Letter<M>) {
        *self.under_way.entry(letter.message.page()).or_default() += 1;
        self.dispatch(to, letter);
    }

    fn dispatch(&mut self, to: NodeId, letter: Letter<M>) {
        let from = letter.from;
        // One of four speeds for each direction of each link.
        let factor = 1 + (from.index() * 7 + to.index() * 3) as u64 % 4;
        let at = self.some_time(factor);
        let channel = (from, to, letter.contents());
        let sent = self.sent.entry(channel).or_insert_with(|| Sent {
            last: Tick(0),
            recent: VecDeque::new(),
        });
        sent.last = at.max(sent.last);
        if sent.recent.len() == RESENT {
            sent.recent.pop_front();
        }
        sent.recent.push_back(letter.clone());
        let at = sent.last;
        self.at(at, Event::Deliver { to, letter });
    }

    /// Sends once more what was sent last from one node to another.
    pub(super) fn resend(&mut self, from: NodeId, to: NodeId) {
        for contents in [Contents::Nothing, Contents::Page] {
            let sent = self.sent.get_mut(&(from, to, contents));
            let again = sent.map(|sent| std::mem::take(&mut sent.recent));
            for letter in again.into_iter().flatten() {
                self.dispatch(to, letter);
            }
        }
    }

    /// Lets nothing pass between `side` and the others for some time.
    pub(super) fn cut(&mut self, side: NodeSet, time: Tick) {
        let until = Tick(self.now.0 + time.0);
        self.cuts.push((side, until));
    }

    /// When what arrives now at the end of a link that is cut will arrive.
    fn healed(&self, from: NodeId, to: NodeId) -> Option<Tick> {
        let parts = |side: NodeSet| side.contains(from) != side.contains(to);
        let cuts = self.cuts.iter().filter(|&&(side, _)| parts(side));
        cuts.map(|&(_, until)| until).max()
    }

    /// The next event; the clock moves to it.
    pub(super) fn next(&mut self) -> Option<Event<M>> {
        loop {
            let Reverse(due) = self.events.pop()?;
            self.now = due.at;
            self.cuts.retain(|&(_, until)| until > due.at);
            let link = match &due.event {
                Event::Deliver { to, letter } => Some((letter.from, *to)),
                Event::Heard { from, to, .. } => Some((*from, *to)),
                _ => None,
            };
            let healed = link.and_then(|(from, to)| self.healed(from, to));
            let Some(at) = healed else {
                return Some(due.event);
            };
            // Its old number keeps it before what is sent later.
            self.events.push(Reverse(Due { at, ..due }));
        }
    }

    /// Notes that a message has arrived for the first time.
    pub(super) fn arrived(&mut self, page: PageIndex) {
        if let Some(count) = self.under_way.get_mut(&page) {
            *count = count.saturating_sub(1);
        }
    }

    /// How many messages about `page` are under way.
    pub(super) fn under_way(&self, page: PageIndex) -> usize {
        self.under_way.get(&page).copied().unwrap_or(0)
    }

    fn some_time(&mut self, factor: u64) -> Tick {
        let longest = if self.rng.random_ratio(1, 8) {
            self.delay.0 * 10
        } else {
            self.delay.0
        };
        Tick(self.now.0 + self.rng.random_range(1..=(longest * factor).max(1)))
    }
}
