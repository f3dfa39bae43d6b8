//! Which pages this node was given so shortly ago that they stay for a moment.

use std::collections::{BTreeSet, VecDeque};

use giantvm_core::PageIndex;

use super::{Lease, Out};
use crate::protocol::Tick;

/// The pages given to this node in the last moment, and those that go when it is over.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Rest {
    time: Tick,
    /// By the time of the grant, each page at most once. Only as many as come within a rest.
    fresh: VecDeque<(Tick, PageIndex)>,
    /// Pages that someone waits for, by the end of their rest.
    until: BTreeSet<(Tick, PageIndex)>,
}

impl Rest {
    pub(super) const fn new(time: Tick) -> Self {
        Self {
            time,
            fresh: VecDeque::new(),
            until: BTreeSet::new(),
        }
    }

    /// The page was given to this node.
    pub(super) fn begin(&mut self, now: Tick, page: PageIndex) {
        self.forget(page);
        let time = self.time.0;
        let over = |&(since, _): &(Tick, PageIndex)| since.0.saturating_add(time) <= now.0;
        while self.fresh.front().is_some_and(over) {
            self.fresh.pop_front();
        }
        if time > 0 {
            self.fresh.push_back((now, page));
        }
    }

    /// The page is gone.
    pub(super) fn forget(&mut self, page: PageIndex) {
        self.fresh.retain(|&(_, fresh)| fresh != page);
    }

    /// Whether the page still rests; then its time-out is set.
    pub(super) fn delays(&mut self, now: Tick, page: PageIndex) -> bool {
        let since = self.fresh.iter().find(|&&(_, fresh)| fresh == page);
        let until = since.map(|&(since, _)| Tick(since.0.saturating_add(self.time.0)));
        let until = until.filter(|&until| now < until);
        self.until.extend(until.map(|until| (until, page)));
        until.is_some()
    }

    /// When the first rest that someone waits for is over.
    pub(super) fn first(&self) -> Option<Tick> {
        self.until.first().map(|&(until, _)| until)
    }

    /// Gives a page whose rest is over by `now`.
    fn pop(&mut self, now: Tick) -> Option<PageIndex> {
        let &(_, page) = self.until.first().filter(|&&(until, _)| until <= now)?;
        self.until.pop_first();
        Some(page)
    }
}

impl Lease {
    /// Gives back the pages that have rested long enough.
    pub(super) fn end_rests(&mut self, now: Tick, out: &mut Out) {
        while let Some(page) = self.rest.pop(now) {
            if let Some(order) = self.recalled.remove(&page) {
                self.give_back(now, page, order, out);
            } else if let Some(active) = self.active.remove(&page) {
                self.serve(now, page, active.queue, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_rests_from_its_grant_and_once() {
        let mut rest = Rest::new(Tick(10));
        let [one, two] = [PageIndex(1), PageIndex(2)];
        rest.begin(Tick(5), one);
        assert!(!rest.delays(Tick(5), two));
        assert!(rest.delays(Tick(14), one));
        assert!(!rest.delays(Tick(15), one));
        assert_eq!(rest.first(), Some(Tick(15)));
        assert_eq!(rest.pop(Tick(14)), None);
        assert_eq!(rest.pop(Tick(15)), Some(one));
        assert_eq!(rest.first(), None);
    }

    #[test]
    fn only_grants_of_the_last_moment_are_remembered() {
        let mut rest = Rest::new(Tick(10));
        for at in 0..1000 {
            rest.begin(Tick(at), PageIndex(at));
        }
        assert_eq!(rest.fresh.len(), 10);
        rest.begin(Tick(999), PageIndex(995));
        assert_eq!(rest.fresh.len(), 10);
        rest.forget(PageIndex(995));
        assert_eq!(rest.fresh.len(), 9);
        let mut none = Rest::new(Tick(0));
        none.begin(Tick(0), PageIndex(0));
        assert!(!none.delays(Tick(0), PageIndex(0)));
    }
}
