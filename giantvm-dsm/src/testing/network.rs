//! The virtual clock and what is going to happen: messages, faults, threads and timers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use bytes::Bytes;
use giantvm_core::{NodeId, PageIndex};
use rand::Rng;
use rand::rngs::SmallRng;

use crate::backing::Fault;
use crate::protocol::{PageMessage, Tick};

/// Something that is going to happen.
#[derive(Debug, Clone)]
pub(super) enum Event<M> {
    /// A message arrives.
    Deliver {
        from: NodeId,
        to: NodeId,
        message: M,
        payload: Option<Bytes>,
    },
    /// A node's driver takes up a fault.
    Fault { at: NodeId, fault: Fault },
    /// A thread goes on.
    Run { at: NodeId, thread: usize },
    /// A protocol's time-out is due.
    Timeout { at: NodeId },
    /// A node would rather not keep a page.
    Evict { at: NodeId, page: PageIndex },
    /// A node dies.
    Kill { node: NodeId },
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
type Channel = (NodeId, NodeId, bool);

/// The clock, the events to come, and the source of all randomness.
#[derive(Debug)]
pub(super) struct Network<M> {
    pub now: Tick,
    pub rng: SmallRng,
    delay: Tick,
    sequence: u64,
    events: BinaryHeap<Reverse<Due<M>>>,
    last: BTreeMap<Channel, Tick>,
    /// Messages under way by page.
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
            last: BTreeMap::new(),
            under_way: BTreeMap::new(),
        }
    }

    /// Plans an event for a time, not before now.
    pub(super) fn at(&mut self, at: Tick, event: Event<M>) {
        if let Event::Deliver { message, .. } = &event {
            *self.under_way.entry(message.page()).or_default() += 1;
        }
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
        let at = self.some_time();
        self.at(at, event);
    }

    /// Sends a message: it takes a random time but overtakes none of its own channel.
    pub(super) fn send(&mut self, from: NodeId, to: NodeId, message: M, payload: Option<Bytes>) {
        let at = self.some_time();
        let last = self.last.entry((from, to, payload.is_some())).or_default();
        *last = at.max(*last);
        let at = *last;
        self.at(
            at,
            Event::Deliver {
                from,
                to,
                message,
                payload,
            },
        );
    }

    /// The next event; the clock moves to it.
    pub(super) fn next(&mut self) -> Option<Event<M>> {
        let Reverse(due) = self.events.pop()?;
        self.now = due.at;
        if let Event::Deliver { message, .. } = &due.event
            && let Some(count) = self.under_way.get_mut(&message.page())
        {
            *count -= 1;
        }
        Some(due.event)
    }

    /// How many messages about `page` are under way.
    pub(super) fn under_way(&self, page: PageIndex) -> usize {
        self.under_way.get(&page).copied().unwrap_or(0)
    }

    fn some_time(&mut self) -> Tick {
        let longest = if self.rng.random_ratio(1, 8) {
            self.delay.0 * 10
        } else {
            self.delay.0
        };
        Tick(self.now.0 + self.rng.random_range(1..=longest.max(1)))
    }
}
