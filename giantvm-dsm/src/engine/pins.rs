//! Pages that stay while a device works on them.
//!
//! A page that its node may write stays so until a message about it, or a time-out, is handled:
//! that is a law of every [protocol](crate::protocol::CoherenceProtocol). So a page is pinned by
//! letting its messages wait, in the order of their arrival, and the protocol's time-outs too; no
//! protocol has to know. To the rest of the cluster it is a slow link and a slow clock. No pin is
//! given while a time-out is overdue, so pins that follow one another cannot stop it for ever.
//!
//! Only the right to write can be pinned. A copy for reading may be a lease, which ends when
//! something else does.

use std::collections::{BTreeMap, VecDeque};

use giantvm_core::{MAX_NODES, PageIndex};

use crate::mutants::mutant;

/// Most pages that can be pinned at a time on one node.
pub(crate) const MAX_PINS: usize = 256;

/// Most messages of one peer that may wait for one page: it may hand on a request of every other
/// node, and says a few things of its own.
pub(crate) const MAX_WAITING: usize = 2 * MAX_NODES;

/// The pinned pages of a node, and what waits for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pins<L> {
    pages: BTreeMap<PageIndex, Pinned<L>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Pinned<L> {
    holders: usize,
    /// In the order of their arrival; at most [`MAX_WAITING`] of one peer.
    waiting: VecDeque<L>,
}

impl<L> Pins<L> {
    pub(crate) const fn new() -> Self {
        Self {
            pages: BTreeMap::new(),
        }
    }

    /// Pins a page, once more if it is pinned. The caller has checked that it may be written.
    /// `false` if there are too many pins.
    #[must_use]
    pub(crate) fn pin(&mut self, page: PageIndex) -> bool {
        if let Some(pinned) = self.pages.get_mut(&page) {
            pinned.holders += 1;
            return true;
        }
        let room = self.pages.len() < MAX_PINS;
        if room {
            let pinned = Pinned {
                holders: 1,
                waiting: VecDeque::new(),
            };
            self.pages.insert(page, pinned);
        }
        room
    }

    /// Whether no page is pinned.
    pub(crate) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Whether a page is pinned.
    pub(crate) fn contains(&self, page: PageIndex) -> bool {
        self.pages.contains_key(&page)
    }

    /// Lets a message wait if its page is pinned; gives it back otherwise.
    pub(crate) fn hold(&mut self, page: PageIndex, message: L) -> Option<L> {
        match self.pages.get_mut(&page) {
            Some(_) if mutant!(PinsNothing) => Some(message),
            Some(_) if mutant!(LosesWhatWaits) => None,
            Some(pinned) => {
                if mutant!(ReordersWhatWaits) {
                    pinned.waiting.push_front(message);
                } else {
                    pinned.waiting.push_back(message);
                }
                None
            }
            None => Some(message),
        }
    }

    /// How many of the messages that wait for a page satisfy `count`.
    pub(crate) fn waiting_for(&self, page: PageIndex, count: impl Fn(&L) -> bool) -> usize {
        let pinned = self.pages.get(&page);
        pinned.map_or(0, |pinned| {
            pinned.waiting.iter().filter(|l| count(l)).count()
        })
    }

    /// Takes one pin off. With the last one, gives what waited, in order.
    pub(crate) fn unpin(&mut self, page: PageIndex) -> VecDeque<L> {
        let Some(pinned) = self.pages.get_mut(&page) else {
            return VecDeque::new();
        };
        pinned.holders -= 1;
        if pinned.holders > 0 {
            return VecDeque::new();
        }
        let pinned = self.pages.remove(&page);
        pinned.map_or_else(VecDeque::new, |pinned| pinned.waiting)
    }

    /// What waits, of every page.
    #[cfg(feature = "testing")]
    pub(crate) fn waiting_mut(&mut self) -> impl Iterator<Item = (PageIndex, &mut L)> {
        let pages = self.pages.iter_mut();
        pages
            .flat_map(|(&page, pinned)| pinned.waiting.iter_mut().map(move |letter| (page, letter)))
    }

    /// The pinned pages.
    #[cfg(feature = "testing")]
    pub(crate) fn pages(&self) -> impl Iterator<Item = PageIndex> {
        self.pages.keys().copied()
    }

    /// How many messages wait.
    #[cfg(feature = "testing")]
    pub(crate) fn waiting(&self) -> usize {
        self.pages.values().map(|pinned| pinned.waiting.len()).sum()
    }

    /// Drops what waits and does not satisfy `keep`.
    pub(crate) fn retain(&mut self, keep: impl Fn(&L) -> bool) {
        for pinned in self.pages.values_mut() {
            pinned.waiting.retain(&keep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageIndex = PageIndex(3);

    #[test]
    fn messages_of_a_pinned_page_wait_in_order_until_the_last_pin_goes() {
        let mut pins = Pins::new();
        assert!(pins.pin(PAGE) && pins.pin(PAGE));
        assert_eq!(pins.hold(PAGE, 1), None);
        assert_eq!(pins.hold(PAGE, 2), None);
        assert_eq!(pins.hold(PageIndex(4), 3), Some(3));
        assert!(pins.unpin(PAGE).is_empty() && pins.contains(PAGE));
        assert_eq!(pins.waiting(), 2);
        assert_eq!(pins.unpin(PAGE), [1, 2]);
        assert!(!pins.contains(PAGE) && pins.unpin(PAGE).is_empty());
    }

    #[test]
    fn what_a_lost_node_sent_waits_no_longer() {
        let mut pins = Pins::new();
        assert!(pins.pin(PAGE));
        pins.hold(PAGE, 1);
        pins.hold(PAGE, 2);
        pins.retain(|&message| message != 1);
        assert_eq!(pins.unpin(PAGE), [2]);
    }

    #[test]
    fn pins_are_limited() {
        let mut pins = Pins::<()>::new();
        assert!((0..MAX_PINS as u64).all(|page| pins.pin(PageIndex(page))));
        assert!(!pins.pin(PageIndex(u64::MAX)));
        assert!(
            pins.pin(PageIndex(0)),
            "a page that is pinned can be once more"
        );
    }
}
