//! What a remote fault between two nodes takes, by what threads waited.

use std::collections::BTreeMap;

use giantvm_core::NodeId;
use giantvm_sched::schedule::{Event, Faults, Nanos};

/// A fault counts with one part in so many.
const PARTS: u64 = 8;
/// A mean that differs from what was told by less than one part in so many is not told.
const NOTABLE: u64 = 4;

/// Means by pairs of nodes. Pure.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<(NodeId, NodeId), Mean>);

#[derive(Debug, Clone, Copy)]
struct Mean {
    now: u64,
    told: u64,
}

impl Links {
    /// Learns from faults of a thread on a node. What to tell the scheduler, if that is news: for a page
    /// whose home is here it is not known who sent it, and so nothing is learned.
    pub(super) fn learn(&mut self, on: NodeId, faults: &Faults) -> Option<Event> {
        let count = u64::from(faults.reads) + u64::from(faults.writes);
        let each = faults.stall.0.checked_div(count)?;
        if on == faults.home {
            return None;
        }
        let (a, b) = (on.min(faults.home), on.max(faults.home));
        let mean = self.0.entry((a, b)).or_insert(Mean { now: each, told: 0 });
        mean.now = mean.now - mean.now / PARTS + each / PARTS;
        if mean.now.abs_diff(mean.told) <= mean.told / NOTABLE {
            return None;
        }
        mean.told = mean.now;
        let cost = Nanos(mean.now);
        Some(Event::Link { a, b, cost })
    }
}

#[cfg(test)]
mod tests {
    use giantvm_sched::schedule::{PageGroup, ThreadId};

    use super::*;

    fn faults(home: u8, stall: u64) -> Faults {
        Faults {
            thread: ThreadId(0),
            group: PageGroup(0),
            reads: 1,
            writes: 1,
            stall: Nanos(2 * stall),
            home: NodeId::new(home).unwrap(),
        }
    }

    fn told(links: &mut Links, stall: u64) -> Option<u64> {
        match links.learn(NodeId::ZERO, &faults(1, stall)) {
            Some(Event::Link { cost, .. }) => Some(cost.0),
            _ => None,
        }
    }

    #[test]
    fn a_link_is_told_once_and_again_when_it_has_changed() {
        let mut links = Links::default();
        assert_eq!(told(&mut links, 40_000), Some(40_000));
        assert_eq!((0..100).find_map(|_| told(&mut links, 42_000)), None);
        let news: Vec<_> = (0..100).filter_map(|_| told(&mut links, 100_000)).collect();
        assert!(news.is_sorted() && (2..9).contains(&news.len()), "{news:?}");
        assert!(news.last().unwrap().abs_diff(100_000) < 25_000);
    }

    #[test]
    fn nothing_is_learned_of_pages_that_are_at_home_or_of_no_faults() {
        let mut links = Links::default();
        assert_eq!(links.learn(NodeId::ZERO, &faults(0, 40_000)), None);
        let none = Faults {
            reads: 0,
            writes: 0,
            ..faults(1, 9)
        };
        assert_eq!(links.learn(NodeId::ZERO, &none), None);
    }
}
