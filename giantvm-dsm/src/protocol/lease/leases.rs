//! The leases that a node holds: when each ends in logical time, and when it is looked after in
//! physical time.

use std::collections::{BTreeMap, BTreeSet};

use giantvm_core::{PageIndex, Stamp};

use crate::protocol::Tick;

/// A lease that the node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Held {
    /// The last time at which the copy may be read.
    pub end: Stamp,
    /// When the home is asked for what is new; `None` while it is being asked, or if it never is.
    pub due: Option<Tick>,
    /// How often it was asked since a local thread last faulted.
    pub refreshes: u8,
    /// How often the time between two of these was doubled.
    pub doublings: u8,
}

/// All leases, ordered by page, by end and by the time they are due.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Leases {
    held: BTreeMap<PageIndex, Held>,
    ends: BTreeSet<(Stamp, PageIndex)>,
    due: BTreeSet<(Tick, PageIndex)>,
}

impl Leases {
    pub(super) fn get(&self, page: PageIndex) -> Option<Held> {
        self.held.get(&page).copied()
    }

    /// Adds a lease, or replaces it.
    pub(super) fn insert(&mut self, page: PageIndex, held: Held) {
        self.remove(page);
        self.held.insert(page, held);
        self.ends.insert((held.end, page));
        self.due.extend(held.due.map(|due| (due, page)));
    }

    pub(super) fn remove(&mut self, page: PageIndex) -> Option<Held> {
        let held = self.held.remove(&page)?;
        self.ends.remove(&(held.end, page));
        held.due.map(|due| self.due.remove(&(due, page)));
        Some(held)
    }

    /// Removes and gives a lease that has ended when the clock shows `now`.
    pub(super) fn pop_ended(&mut self, now: Stamp) -> Option<PageIndex> {
        let &(_, page) = self.ends.first().filter(|&&(end, _)| end < now)?;
        self.remove(page);
        Some(page)
    }

    /// When the first lease is due.
    pub(super) fn first_due(&self) -> Option<Tick> {
        self.due.first().map(|&(due, _)| due)
    }

    /// Gives a lease that is due by `now`; it is not due any more.
    pub(super) fn pop_due(&mut self, now: Tick) -> Option<(PageIndex, Held)> {
        let &(_, page) = self.due.first().filter(|&&(due, _)| due <= now)?;
        self.due.pop_first();
        let held = self.held.get_mut(&page)?;
        held.due = None;
        Some((page, *held))
    }

    /// A local thread uses the copy: it is worth being refreshed.
    pub(super) fn used(&mut self, page: PageIndex) {
        if let Some(held) = self.held.get_mut(&page) {
            held.refreshes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(end: u64, due: u64) -> Held {
        Held {
            end: Stamp(end),
            due: Some(Tick(due)),
            refreshes: 3,
            doublings: 0,
        }
    }

    const PAGES: [PageIndex; 3] = [PageIndex(0), PageIndex(1), PageIndex(2)];

    #[test]
    fn leases_end_in_order_and_only_when_the_clock_is_past_them() {
        let mut leases = Leases::default();
        for (page, end) in PAGES.into_iter().zip([9, 5, 7]) {
            leases.insert(page, held(end, 1));
        }
        assert_eq!(leases.pop_ended(Stamp(5)), None);
        assert_eq!(leases.pop_ended(Stamp(8)), Some(PAGES[1]));
        assert_eq!(leases.pop_ended(Stamp(8)), Some(PAGES[2]));
        assert_eq!(leases.pop_ended(Stamp(8)), None);
        assert_eq!(leases.get(PAGES[0]), Some(held(9, 1)));
    }

    #[test]
    fn a_lease_is_due_once_until_it_is_put_back() {
        let mut leases = Leases::default();
        leases.insert(PAGES[0], held(1, 20));
        leases.insert(PAGES[1], held(1, 10));
        assert_eq!(leases.first_due(), Some(Tick(10)));
        assert_eq!(leases.pop_due(Tick(9)), None);
        let (page, popped) = leases.pop_due(Tick(30)).unwrap();
        assert_eq!((page, popped.due), (PAGES[1], None));
        assert_eq!(leases.first_due(), Some(Tick(20)));
        leases.insert(PAGES[1], held(1, 5));
        assert_eq!(leases.first_due(), Some(Tick(5)));
        leases.used(PAGES[1]);
        assert_eq!(leases.get(PAGES[1]).unwrap().refreshes, 0);
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let mut leases = Leases::default();
        leases.insert(PAGES[0], held(4, 2));
        leases.insert(PAGES[0], held(6, 3));
        assert_eq!(leases.remove(PAGES[0]), Some(held(6, 3)));
        assert_eq!(leases, Leases::default());
        assert_eq!(leases.remove(PAGES[0]), None);
    }
}
