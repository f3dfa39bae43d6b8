//! Copies of pages as they were when they last crossed a link.
//!
//! Two of a page at most: its last state, and the one before it, which others may still hold. When
//! there is no room, the one goes that crossed a link longest ago, but never one that this node has
//! named in a request.

use std::collections::BTreeMap;

use giantvm_core::PageIndex;

use super::digest::Digest;
use super::pack::Base;
use crate::mutants::mutant;

/// When a copy last crossed a link, which also names it here.
type Turn = u64;

/// One state of a page.
#[derive(Debug)]
struct Copy {
    page: PageIndex,
    digest: Digest,
    bytes: Box<[u8]>,
}

/// What is kept of one page.
#[derive(Debug, Clone, Copy)]
struct Kept {
    last: Turn,
    before: Option<Turn>,
    /// The one of them that must stay.
    named: Option<Turn>,
}

impl Kept {
    fn turns(self) -> impl Iterator<Item = Turn> {
        std::iter::once(self.last).chain(self.before)
    }
}

/// The standby copies of a node.
#[derive(Debug)]
pub(super) struct Standby {
    /// Most copies.
    most: usize,
    copies: BTreeMap<Turn, Copy>,
    pages: BTreeMap<PageIndex, Kept>,
    next: Turn,
    /// A place for the next copy.
    spare: Option<Box<[u8]>>,
}

impl Standby {
    /// One for `most` copies.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            most,
            copies: BTreeMap::new(),
            pages: BTreeMap::new(),
            next: 0,
            spare: None,
        }
    }

    /// Whether there is a copy of `page`.
    pub(super) fn contains(&self, page: PageIndex) -> bool {
        self.pages.contains_key(&page)
    }

    /// Keeps what a page holds now.
    pub(super) fn keep(&mut self, page: PageIndex, bytes: &[u8]) {
        let digest = Digest::of(bytes);
        let same = self.turn_of(page, digest);
        let copy = match same.and_then(|turn| self.copies.remove(&turn)) {
            Some(copy) => copy,
            None if self.make_room() => {
                let bytes = self.filled(bytes);
                Copy {
                    page,
                    digest,
                    bytes,
                }
            }
            None => return,
        };
        let turn = self.next;
        self.next += 1;
        self.copies.insert(turn, copy);
        let fresh = Kept {
            last: turn,
            before: None,
            named: None,
        };
        // Only now: making room may have taken a copy of this very page.
        let Some(old) = self.pages.insert(page, fresh) else {
            return;
        };
        let renamed = |old: Turn| if Some(old) == same { turn } else { old };
        let named = old.named.map(renamed);
        // A named copy outlives the last one, so that there are never more than two.
        let others = || old.turns().filter(|&turn| Some(turn) != same);
        let before = others().find(|&turn| Some(turn) == named);
        let before = before.or_else(|| others().next());
        for gone in others().filter(|&turn| Some(turn) != before) {
            self.spare = self.copies.remove(&gone).map(|copy| copy.bytes);
        }
        let kept = Kept {
            last: turn,
            before,
            named,
        };
        self.pages.insert(page, kept);
    }

    /// Names the last copy of a page, or the one that is named already, which then stays until the
    /// request is [answered](Self::answered).
    pub(super) fn name(&mut self, page: PageIndex) {
        if let Some(kept) = self.pages.get_mut(&page) {
            kept.named = kept.named.or(Some(kept.last));
        }
    }

    /// The page is here: no answer is to come.
    pub(super) fn answered(&mut self, page: PageIndex) {
        if let Some(kept) = self.pages.get_mut(&page) {
            kept.named = None;
        }
    }

    /// What is named of a page.
    pub(super) fn named(&self, page: PageIndex) -> Option<Base<'_>> {
        let turn = self.pages.get(&page)?.named?;
        Some(base(self.copies.get(&turn)?))
    }

    /// The copy of a page that `digest` names.
    pub(super) fn find(&self, page: PageIndex, digest: Digest) -> Option<Base<'_>> {
        if mutant!(DeltaAgainstAnyBase) {
            let last = self.copies.get(&self.pages.get(&page)?.last)?;
            return Some(Base {
                digest,
                ..base(last)
            });
        }
        let turn = self.turn_of(page, digest)?;
        Some(base(self.copies.get(&turn)?))
    }

    fn turn_of(&self, page: PageIndex, digest: Digest) -> Option<Turn> {
        let same = |turn: &Turn| self.copies.get(turn).map(|copy| copy.digest) == Some(digest);
        self.pages.get(&page)?.turns().find(same)
    }

    /// Makes room for one more copy. `false` if all there are must stay.
    fn make_room(&mut self) -> bool {
        if self.copies.len() < self.most {
            return true;
        }
        let pages = &self.pages;
        let named = |turn: Turn, copy: &Copy| {
            let kept = pages.get(&copy.page);
            kept.and_then(|kept| kept.named) == Some(turn) && !mutant!(DropsNamedBases)
        };
        let mut oldest = self.copies.iter();
        let Some((&turn, _)) = oldest.find(|&(&turn, copy)| !named(turn, copy)) else {
            return false;
        };
        if let Some(gone) = self.copies.remove(&turn) {
            self.unlink(gone.page, turn);
            self.spare = Some(gone.bytes);
        }
        true
    }

    /// Forgets that a page has the copy that went.
    fn unlink(&mut self, page: PageIndex, turn: Turn) {
        let Some(kept) = self.pages.get_mut(&page) else {
            return;
        };
        let mut left = kept.turns().filter(|&other| other != turn);
        match left.next() {
            Some(other) => (kept.last, kept.before) = (other, None),
            None => {
                self.pages.remove(&page);
            }
        }
    }

    fn filled(&mut self, bytes: &[u8]) -> Box<[u8]> {
        match self.spare.take() {
            Some(mut place) if place.len() == bytes.len() => {
                place.copy_from_slice(bytes);
                place
            }
            _ => bytes.into(),
        }
    }
}

fn base(copy: &Copy) -> Base<'_> {
    Base {
        digest: copy.digest,
        bytes: &copy.bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageIndex = PageIndex(3);

    fn has(standby: &Standby, page: PageIndex, byte: u8) -> bool {
        let digest = Digest::of(&[byte; 64]);
        let found = standby.find(page, digest);
        assert!(found.is_none_or(|base| base.bytes == [byte; 64] && base.digest == digest));
        found.is_some()
    }

    fn keep(standby: &mut Standby, page: PageIndex, byte: u8) {
        standby.keep(page, &[byte; 64]);
        assert!(standby.copies.len() <= standby.most);
    }

    #[test]
    fn the_last_two_states_of_a_page_are_kept() {
        let mut standby = Standby::new(8);
        for byte in 1..=3 {
            keep(&mut standby, PAGE, byte);
        }
        assert_eq!(
            [1, 2, 3].map(|byte| has(&standby, PAGE, byte)),
            [false, true, true]
        );
        assert!(
            !has(&standby, PageIndex(4), 3),
            "of another page nothing is known"
        );
        keep(&mut standby, PAGE, 2);
        assert_eq!(
            standby.copies.len(),
            2,
            "a state that comes back is no third"
        );
        standby.name(PAGE);
        assert_eq!(standby.named(PAGE).unwrap().bytes, [2; 64]);
    }

    #[test]
    fn a_named_copy_stays_until_its_answer_has_come_whatever_wants_its_place() {
        let mut standby = Standby::new(2);
        keep(&mut standby, PAGE, 1);
        standby.name(PAGE);
        for byte in 2..20 {
            keep(&mut standby, PAGE, byte);
            keep(&mut standby, PageIndex(byte.into()), byte);
            assert!(has(&standby, PAGE, 1));
            standby.name(PAGE);
            assert_eq!(standby.named(PAGE).unwrap().bytes, [1; 64], "named already");
        }
        standby.answered(PAGE);
        assert!(standby.named(PAGE).is_none());
        keep(&mut standby, PageIndex(5), 1);
        keep(&mut standby, PageIndex(6), 1);
        assert!(!standby.contains(PAGE));
    }

    #[test]
    fn when_all_copies_are_named_no_other_is_kept() {
        let mut standby = Standby::new(2);
        for page in [PageIndex(0), PageIndex(1)] {
            keep(&mut standby, page, 1);
            standby.name(page);
        }
        keep(&mut standby, PAGE, 1);
        keep(&mut standby, PageIndex(0), 2);
        assert!(!standby.contains(PAGE) && !has(&standby, PageIndex(0), 2));
    }

    #[test]
    fn with_no_room_at_all_nothing_is_kept() {
        let mut standby = Standby::new(0);
        keep(&mut standby, PAGE, 1);
        standby.name(PAGE);
        assert!(!standby.contains(PAGE) && standby.named(PAGE).is_none());
    }

    #[test]
    fn what_crossed_a_link_longest_ago_makes_room() {
        let mut standby = Standby::new(2);
        let [a, b, c] = [PageIndex(0), PageIndex(1), PageIndex(2)];
        keep(&mut standby, a, 1);
        keep(&mut standby, b, 1);
        keep(&mut standby, a, 1);
        keep(&mut standby, c, 1);
        assert_eq!(
            [a, b, c].map(|page| standby.contains(page)),
            [true, false, true]
        );
    }
}
