//! Pages that are read and then written by one node after the other.
//!
//! A counter, a queue's head, a lock: each node loads it, and stores to it a moment later. Served
//! as it comes, that is two transactions a turn, first a copy and then the right to write it. Once
//! the pattern was seen, the load is taken for a store, and one transaction does it all.
//!
//! | what is known of a page | seen next | then |
//! |---|---|---|
//! | nothing | a load brings it | read, so far |
//! | read | a store asks for the right to write | migratory once more |
//! | read | it is taken away | nothing: the guess was wrong |
//! | migratory often enough | a load asks for it | it is asked for to be written |
//!
//! A guess costs what it saves, one transaction, when it is wrong. As no one sees whether a page
//! that may be written was, one load in some is not taken for a store, and shows whether the pattern
//! still holds.
//!
//! What is known is little and may be lost: a table of fixed size, in which pages share places.

use giantvm_core::PageIndex;

use crate::protocol::{Access, Rights};

/// Places in the table: a power of two.
const PLACES: usize = 4096;
/// Turns that a page has to be read and then written, before loads are taken for stores.
const SEEN: u8 = 2;
/// One load in so many is not taken for a store.
const CHECKED: u8 = 8;

/// What is known of one page.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    page: u64,
    /// Turns in which it was read and then written.
    turns: u8,
    /// Loads since then that were taken for stores.
    guesses: u8,
    /// Whether a load brought it, and no store came yet.
    read: bool,
}

/// What one node has seen of pages that move.
#[derive(Debug)]
pub(super) struct Migratory(Vec<Known>);

impl Migratory {
    pub(super) fn new() -> Self {
        Self(vec![Known::default(); PLACES])
    }

    /// One that sees nothing.
    pub(super) const fn blind() -> Self {
        Self(Vec::new())
    }

    /// Notes a fault on a page of which this node holds what `held` says. Gives what to ask for.
    pub(super) fn faulted(
        &mut self,
        page: PageIndex,
        access: Access,
        held: Option<Rights>,
    ) -> Access {
        let Some(known) = self.place(page) else {
            return access;
        };
        let here = known.page == page.0;
        match (access, held) {
            (Access::Read, None) => {
                if !here {
                    *known = Known::default();
                    known.page = page.0;
                }
                let guess = known.turns >= SEEN && known.guesses % CHECKED != CHECKED - 1;
                known.guesses = known.guesses.wrapping_add(1);
                known.read = !guess;
                if guess { Access::Write } else { Access::Read }
            }
            (Access::Write, Some(Rights::Read)) if here && known.read => {
                known.read = false;
                known.turns = known.turns.saturating_add(1);
                access
            }
            (Access::Read | Access::Write, _) => access,
        }
    }

    /// Notes that a page was taken away.
    pub(super) fn lost(&mut self, page: PageIndex) {
        if let Some(known) = self.place(page)
            && known.page == page.0
            && known.read
        {
            (known.read, known.turns) = (false, 0);
        }
    }

    fn place(&mut self, page: PageIndex) -> Option<&mut Known> {
        let places = self.0.len() as u64;
        let at = page.0.checked_rem(places)?;
        self.0.get_mut(usize::try_from(at).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageIndex = PageIndex(5);

    /// A turn of a node that loads and then stores. How many transactions it took.
    fn turn(seen: &mut Migratory, page: PageIndex) -> u32 {
        let asked = seen.faulted(page, Access::Read, None);
        let mut took = 1;
        if asked == Access::Read {
            took += 1;
            seen.faulted(page, Access::Write, Some(Rights::Read));
        }
        seen.lost(page);
        took
    }

    fn learn(seen: &mut Migratory) {
        for _ in 0..3 {
            turn(seen, PAGE);
        }
    }

    #[test]
    fn a_page_that_is_read_and_written_by_turns_comes_at_once_for_both() {
        let mut seen = Migratory::new();
        let took: Vec<_> = (0..10).map(|_| turn(&mut seen, PAGE)).collect();
        assert_eq!(
            took,
            [2, 2, 1, 1, 1, 1, 1, 2, 1, 1],
            "one in eight is checked"
        );
    }

    #[test]
    fn a_page_that_is_only_read_is_never_asked_for_to_be_written() {
        let mut seen = Migratory::new();
        for _ in 0..100 {
            assert_eq!(seen.faulted(PAGE, Access::Read, None), Access::Read);
            seen.lost(PAGE);
        }
    }

    #[test]
    fn a_pattern_that_ends_is_forgotten_within_a_few_turns() {
        let mut seen = Migratory::new();
        learn(&mut seen);
        let mut wrong = 0;
        for _ in 0..100 {
            wrong += u32::from(seen.faulted(PAGE, Access::Read, None) == Access::Write);
            seen.lost(PAGE);
        }
        assert!(wrong < u32::from(CHECKED), "{wrong} wrong guesses");
    }

    #[test]
    fn a_page_knows_nothing_from_another_in_its_place() {
        let mut seen = Migratory::new();
        learn(&mut seen);
        let other = PageIndex(PAGE.0 + PLACES as u64);
        assert_eq!(seen.faulted(other, Access::Read, None), Access::Read);
        assert_eq!(seen.faulted(PAGE, Access::Read, None), Access::Read);
    }

    #[test]
    fn the_blind_take_every_fault_for_what_it_is() {
        let mut seen = Migratory::blind();
        let took: Vec<_> = (0..5).map(|_| turn(&mut seen, PAGE)).collect();
        assert_eq!(took, [2; 5]);
    }
}
