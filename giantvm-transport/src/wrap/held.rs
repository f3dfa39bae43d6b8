//! Events that wait for their time: pure, time is an argument.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use giantvm_core::wire::Class;
use giantvm_core::{MAX_NODES, NodeId};

use crate::Event;

/// Most events held back; one more sets the oldest free before its time.
const LIMIT: usize = 1 << 16;

/// When an event is due, then how urgent it is, then how old.
type Key = (Duration, usize, u64);

#[derive(Debug)]
struct Waiting {
    key: Key,
    event: Event,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// A queue by due time that keeps the order of each sender's class, and a sender's loss last.
#[derive(Debug)]
pub(super) struct Held {
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// The latest due time of each sender, by class.
    latest: Vec<[Duration; Class::ALL.len()]>,
    count: u64,
}

impl Held {
    pub(super) fn new() -> Self {
        Self {
            waiting: BinaryHeap::new(),
            latest: vec![Default::default(); MAX_NODES],
            count: 0,
        }
    }

    /// Holds `event` until `due`, or as long as what it must not overtake.
    pub(super) fn hold(&mut self, event: Event, due: Duration) {
        let (due, urgency) = match &event {
            Event::Frame { class, frame } => {
                let latest = &mut self.latest[frame.from.index()][class.index()];
                *latest = due.max(*latest);
                (*latest, class.index())
            }
            Event::Lost { node, .. } => {
                let latest = self.latest[node.index()].iter().max();
                (
                    latest.map_or(due, |latest| due.max(*latest)),
                    Class::ALL.len(),
                )
            }
        };
        self.count += 1;
        let key = (due, urgency, self.count);
        self.waiting.push(Reverse(Waiting { key, event }));
    }

    /// The next event that is due.
    pub(super) fn take(&mut self, now: Duration) -> Option<Event> {
        if self.waiting.len() <= LIMIT && self.next_due()? > now {
            return None;
        }
        self.waiting.pop().map(|Reverse(waiting)| waiting.event)
    }

    /// When the next event is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.waiting.peek().map(|Reverse(waiting)| waiting.key.0)
    }

    /// Forgets the frames of `node`.
    pub(super) fn discard(&mut self, node: NodeId) {
        self.waiting
            .retain(|Reverse(waiting)| match &waiting.event {
                Event::Frame { frame, .. } => frame.from != node,
                Event::Lost { .. } => true,
            });
    }
}

#[cfg(test)]
mod tests {
    use giantvm_core::Epoch;
    use giantvm_core::wire::{Frame, Service};

    use super::*;
    use crate::Loss;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn frame(kind: u8, class: Class) -> Event {
        let frame = Frame::control(Service::Dsm, kind, NodeId::ZERO, Epoch::FIRST, &[]).unwrap();
        Event::Frame { class, frame }
    }

    fn kinds(held: &mut Held, now: u64) -> Vec<u8> {
        let kind = |event| match event {
            Event::Frame { frame, .. } => frame.kind,
            Event::Lost { .. } => u8::MAX,
        };
        std::iter::from_fn(|| held.take(MS(now)).map(kind)).collect()
    }

    #[test]
    fn a_class_keeps_its_order_whatever_the_delays_and_the_loss_comes_last() {
        let mut held = Held::new();
        held.hold(frame(1, Class::Control), MS(50));
        held.hold(frame(2, Class::Control), MS(10));
        held.hold(frame(3, Class::Bulk), MS(20));
        let loss = Loss::Closed;
        let node = NodeId::ZERO;
        held.hold(Event::Lost { node, loss }, MS(0));
        assert_eq!(kinds(&mut held, 10), []);
        assert_eq!(kinds(&mut held, 20), [3]);
        assert_eq!(kinds(&mut held, 50), [1, 2, u8::MAX]);
        assert_eq!(held.next_due(), None);
    }

    #[test]
    fn what_is_due_together_comes_by_urgency() {
        let mut held = Held::new();
        held.hold(frame(1, Class::Bulk), MS(5));
        held.hold(frame(2, Class::Control), MS(5));
        assert_eq!(kinds(&mut held, 5), [2, 1]);
    }

    #[test]
    fn the_oldest_is_set_free_when_too_many_wait() {
        let mut held = Held::new();
        for _ in 0..=LIMIT {
            held.hold(frame(0, Class::Bulk), MS(1000));
        }
        assert!(held.take(MS(0)).is_some());
        assert!(held.take(MS(0)).is_none());
    }
}
