//! Pages that came a moment ago, and those of them that others wait for.

use std::collections::{BTreeMap, BTreeSet};

use giantvm_core::PageIndex;

use crate::protocol::Tick;

/// Which pages stay for how long.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Rests {
    /// When the rests end. Ends that have passed mean nothing; they go when the next rest begins.
    until: BTreeMap<PageIndex, Tick>,
    /// Rests whose end has to be noticed.
    noticed: BTreeSet<(Tick, PageIndex)>,
}

impl Rests {
    /// A page came, or may be written from now on.
    pub(super) fn begin(&mut self, page: PageIndex, now: Tick, until: Tick) {
        self.end(page);
        let noticed = &self.noticed;
        self.until
            .retain(|&page, &mut end| end > now || noticed.contains(&(end, page)));
        self.until.insert(page, until);
    }

    /// Whether nothing is taken from the local threads if the page goes.
    pub(super) fn is_over(&self, page: PageIndex, now: Tick) -> bool {
        self.until.get(&page).is_none_or(|&end| end <= now)
    }

    /// The end of the page's rest is to be noticed.
    pub(super) fn notice(&mut self, page: PageIndex) {
        if let Some(&end) = self.until.get(&page) {
            self.noticed.insert((end, page));
        }
    }

    /// The page goes: there is nothing to notice any more.
    pub(super) fn end(&mut self, page: PageIndex) {
        if let Some(end) = self.until.remove(&page) {
            self.noticed.remove(&(end, page));
        }
    }

    /// A page whose noticed rest is over; it is not noticed again.
    pub(super) fn take_due(&mut self, now: Tick) -> Option<PageIndex> {
        let &(end, page) = self.noticed.first().filter(|&&(end, _)| end <= now)?;
        self.noticed.remove(&(end, page));
        self.until.remove(&page);
        Some(page)
    }

    /// When the next rest ends whose end has to be noticed.
    pub(super) fn next(&self) -> Option<Tick> {
        self.noticed.first().map(|&(end, _)| end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageIndex = PageIndex(3);

    #[test]
    fn only_an_end_that_someone_waits_for_is_noticed() {
        let mut rests = Rests::default();
        rests.begin(PAGE, Tick(0), Tick(10));
        assert!(!rests.is_over(PAGE, Tick(9)) && rests.is_over(PAGE, Tick(10)));
        assert_eq!(rests.next(), None);
        rests.notice(PAGE);
        assert_eq!(rests.next(), Some(Tick(10)));
        assert_eq!(rests.take_due(Tick(9)), None);
        assert_eq!(rests.take_due(Tick(10)), Some(PAGE));
        assert_eq!(rests, Rests::default());
    }

    #[test]
    fn a_second_rest_of_a_page_replaces_the_first() {
        let mut rests = Rests::default();
        rests.begin(PAGE, Tick(0), Tick(10));
        rests.notice(PAGE);
        rests.begin(PAGE, Tick(5), Tick(15));
        assert_eq!(rests.next(), None);
        rests.notice(PAGE);
        assert_eq!(rests.next(), Some(Tick(15)));
        rests.end(PAGE);
        assert_eq!(rests, Rests::default());
    }

    #[test]
    fn rests_that_are_over_are_forgotten() {
        let mut rests = Rests::default();
        for page in 0..100 {
            rests.begin(PageIndex(page), Tick(page), Tick(page + 2));
        }
        assert!(rests.until.len() <= 2);
    }

    #[test]
    fn rests_are_forgotten_when_they_are_over_and_no_one_waits() {
        let (page, now) = (PageIndex, Tick(10));
        let mut rests = Rests::default();
        rests.begin(page(0), Tick(0), Tick(20));
        rests.begin(page(1), Tick(0), Tick(5));
        rests.begin(page(2), Tick(0), Tick(10));
        rests.notice(page(2));
        rests.begin(page(3), now, Tick(30));
        // The first goes on, the second was over, the third's end is still to be noticed.
        assert_eq!(
            rests.until.keys().copied().collect::<Vec<_>>(),
            [page(0), page(2), page(3)]
        );
        assert_eq!(rests.take_due(now), Some(page(2)));
        assert_eq!(rests.take_due(now), None);
    }
}
