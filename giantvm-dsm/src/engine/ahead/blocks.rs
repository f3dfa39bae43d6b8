//! Blocks of memory of which threads want one page after the other, in no order.
//!
//! Who loads anywhere in some megabytes faults once for each page, without a pattern that leads to the
//! next. A thread or vCPU that just came to this node does, whatever it works on. But where several
//! pages of a block were wanted, the others mostly are, too: then they are asked for together.
//!
//! | a block is | when | then |
//! |---|---|---|
//! | watched | a page of it comes that a thread waited for, outside of streams | its pages are counted, each once |
//! | asked for | [`ENOUGH`] did | all that is not here comes, and it is not asked for again |
//! | watched anew | half of its pages went to other nodes, or its first page came long ago | counted from none |
//!
//! If pages of a block go within [`SOON`] after it was asked for, others use it, too: the next time it
//! takes twice as many.
//!
//! What is watched is little and may be lost: a table of fixed size, in which blocks share places. Time is
//! an argument.

use std::collections::VecDeque;

use giantvm_core::PageIndex;

use super::Wish;
use crate::protocol::{Access, Rights, Tick};

/// Pages of a block.
const BLOCK: u64 = 64;
/// Half of them.
const HALF: u32 = 32;
/// Pages of a block that have to be wanted before the others are asked for.
const ENOUGH: u32 = 8;
/// Most doublings of that: then it takes all.
const MOST_DOUBLINGS: u32 = 3;
/// Places in the table: 256 MiB of small pages.
const PLACES: u16 = 1024;
/// Pages after which a block is watched anew: as many as all places are asked for after, if there is no
/// order at all.
const LONG: u64 = PLACES as u64 * ENOUGH as u64;
/// In nanoseconds: some times as long as a block takes to come.
const SOON: u64 = 20_000_000;
/// Most blocks that wait to be asked for. Others are at their next fault.
const MOST_WANTED: usize = 64;

/// What is known of one block.
#[derive(Debug, Clone, Copy)]
struct Block {
    number: u64,
    /// Pages that came and did not go.
    pages: u64,
    /// How many of them to be written.
    writes: u32,
    /// Which page of all that came was its first.
    first: u64,
    state: State,
    doublings: u32,
}

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Watched,
    /// Asked for, at that time.
    Asked(Tick),
    /// Asked for, and seen that others use it.
    Shared,
}

/// A part of a block that is to be asked for.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    next: u64,
    end: u64,
    access: Access,
}

/// What one node has seen of blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Empty if nothing is watched.
    places: Vec<Block>,
    /// Pages that came.
    count: u64,
    wanted: VecDeque<Wanted>,
}

impl Blocks {
    pub(super) fn new(watches: bool) -> Self {
        let places = if watches { PLACES.into() } else { 0 };
        Self {
            places: vec![Block::new(0, 0); places],
            count: 0,
            wanted: VecDeque::new(),
        }
    }

    /// Notes a page that a thread waited for, because of which there may be [more](Self::more) to ask for.
    pub(super) fn came(&mut self, page: PageIndex, rights: Rights, now: Tick) {
        let (number, count) = (page.0 / BLOCK, self.count);
        self.count += 1;
        let is_full = self.wanted.len() >= MOST_WANTED;
        let Some(block) = self.place(number) else {
            return;
        };
        if block.number != number {
            *block = Block::new(number, count);
        } else if block.first + LONG < count {
            block.watch_anew(count);
            block.doublings = block.doublings.saturating_sub(1);
        }
        if block.state != State::Watched || !block.want(page, rights) || is_full {
            return;
        }
        if block.pages.count_ones() >= ENOUGH << block.doublings {
            let is_written = 2 * block.writes >= block.pages.count_ones();
            let access = if is_written {
                Access::Write
            } else {
                Access::Read
            };
            (block.state, block.pages) = (State::Asked(now), u64::MAX);
            self.wanted.push_back(Wanted {
                next: number * BLOCK,
                end: (number + 1) * BLOCK,
                access,
            });
        }
    }

    /// Notes that a page went to another node.
    pub(super) fn lost(&mut self, page: PageIndex, now: Tick) {
        let (number, count) = (page.0 / BLOCK, self.count);
        let Some(block) = self.place(number).filter(|block| block.number == number) else {
            return;
        };
        block.pages &= !(1 << (page.0 % BLOCK));
        match block.state {
            State::Watched => return,
            State::Asked(at) if now.0.saturating_sub(at.0) < SOON => {
                block.doublings = (block.doublings + 1).min(MOST_DOUBLINGS);
                block.state = State::Shared;
            }
            State::Asked(_) | State::Shared => {}
        }
        if block.pages.count_ones() <= HALF {
            block.watch_anew(count);
        }
    }

    /// The next pages to ask for, at most `room`, and what for.
    pub(super) fn more(&mut self, room: u64) -> Option<(Wish, Access)> {
        let wanted = self.wanted.front_mut()?;
        let (first, count) = (wanted.next, room.min(wanted.end - wanted.next));
        let access = wanted.access;
        wanted.next += count;
        if wanted.next == wanted.end {
            self.wanted.pop_front();
        }
        (count > 0).then_some((
            Wish {
                first,
                stride: 1,
                count,
            },
            access,
        ))
    }

    fn place(&mut self, number: u64) -> Option<&mut Block> {
        let place = usize::try_from(number % u64::from(PLACES)).ok()?;
        self.places.get_mut(place)
    }
}

impl Block {
    const fn new(number: u64, first: u64) -> Self {
        Self {
            number,
            pages: 0,
            writes: 0,
            first,
            state: State::Watched,
            doublings: 0,
        }
    }

    /// Counts a page; `false` if it was counted.
    fn want(&mut self, page: PageIndex, rights: Rights) -> bool {
        let bit = 1 << (page.0 % BLOCK);
        let is_new = self.pages & bit == 0;
        self.pages |= bit;
        self.writes += u32::from(is_new && rights == Rights::Write);
        is_new
    }

    const fn watch_anew(&mut self, first: u64) {
        (self.pages, self.writes, self.first, self.state) = (0, 0, first, State::Watched);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LATER: Tick = Tick(1_000_000_000);

    fn asked(blocks: &mut Blocks) -> Vec<u64> {
        let mut pages = Vec::new();
        while let Some((wish, _)) = blocks.more(10) {
            pages.extend(wish.pages(u64::MAX).map(|page| page.0));
        }
        pages
    }

    fn came(blocks: &mut Blocks, page: u64) -> Vec<u64> {
        blocks.came(PageIndex(page), Rights::Read, Tick(1));
        asked(blocks)
    }

    /// The page of a block that is wanted as the so many-th.
    fn nth(count: u64) -> u64 {
        640 + count * 37 % BLOCK
    }

    #[test]
    fn a_block_of_which_enough_was_wanted_is_asked_for_once() {
        let mut blocks = Blocks::new(true);
        for count in 0..7 {
            assert!(came(&mut blocks, nth(count)).is_empty());
            assert!(came(&mut blocks, nth(count)).is_empty(), "the same page");
        }
        assert_eq!(came(&mut blocks, nth(7)), (640..704).collect::<Vec<_>>());
        assert!((8..64).all(|count| came(&mut blocks, nth(count)).is_empty()));
    }

    #[test]
    fn a_block_is_asked_for_what_most_of_its_pages_were_wanted_for() {
        for (writes, access) in [(3, Access::Read), (4, Access::Write)] {
            let mut blocks = Blocks::new(true);
            for count in 0..8 {
                let rights = if count < writes {
                    Rights::Write
                } else {
                    Rights::Read
                };
                blocks.came(PageIndex(nth(count)), rights, Tick(1));
            }
            assert_eq!(blocks.more(64).unwrap().1, access);
        }
    }

    #[test]
    fn pages_far_apart_are_not_asked_for() {
        let mut blocks = Blocks::new(true);
        let scattered = (0..100_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
        let mut scattered = scattered.map(|page| came(&mut blocks, page).len());
        assert_eq!(scattered.by_ref().take(2000).sum::<usize>(), 0);
    }

    #[test]
    fn a_block_that_left_is_asked_for_again_when_it_is_wanted_again() {
        let mut blocks = Blocks::new(true);
        for turn in 0..5 {
            let wanted: Vec<_> = (0..8)
                .map(|count| came(&mut blocks, nth(count)).len())
                .collect();
            assert_eq!(wanted, [0, 0, 0, 0, 0, 0, 0, 64], "turn {turn}");
            (640..704).for_each(|page| blocks.lost(PageIndex(page), LATER));
        }
    }

    #[test]
    fn a_block_that_others_use_takes_more_each_time() {
        let mut blocks = Blocks::new(true);
        let mut taken = Vec::new();
        for _ in 0..4 {
            let wanted = (0..64).find(|&count| !came(&mut blocks, nth(count)).is_empty());
            taken.extend(wanted.map(|count| count + 1));
            (640..704).for_each(|page| blocks.lost(PageIndex(page), Tick(2)));
        }
        assert_eq!(taken, [8, 16, 32, 64]);
    }

    #[test]
    fn who_does_not_watch_asks_for_nothing() {
        let mut blocks = Blocks::new(false);
        assert!((0..64).all(|count| came(&mut blocks, nth(count)).is_empty()));
        blocks.lost(PageIndex(0), LATER);
    }

    #[test]
    fn more_blocks_than_can_wait_are_asked_for_later() {
        let mut blocks = Blocks::new(true);
        let pages_of_all = |blocks: &mut Blocks, pages: std::ops::Range<u64>| {
            for block in 0..100 {
                for page in pages.clone() {
                    blocks.came(PageIndex(block * BLOCK + page), Rights::Read, Tick(1));
                }
            }
        };
        pages_of_all(&mut blocks, 0..8);
        assert_eq!(asked(&mut blocks).len(), 64 * MOST_WANTED);
        pages_of_all(&mut blocks, 8..9);
        assert_eq!(asked(&mut blocks).len(), 64 * (100 - MOST_WANTED));
    }

    proptest! {
        #[test]
        fn whatever_comes_and_goes_whole_blocks_near_it_are_asked_for(
            events in prop::collection::vec((0..2000_u64, any::<bool>(), any::<bool>(), any::<u32>()), 0..3000),
        ) {
            let mut blocks = Blocks::new(true);
            for (page, lost, write, now) in events {
                let (number, now) = (PageIndex(page), Tick(now.into()));
                if lost {
                    blocks.lost(number, now);
                } else {
                    let rights = if write { Rights::Write } else { Rights::Read };
                    blocks.came(number, rights, now);
                }
                let asked = asked(&mut blocks);
                prop_assert!(asked.is_empty() || !lost && asked.len() == 64);
                prop_assert!(asked.iter().all(|of| of / BLOCK == page / BLOCK));
            }
        }
    }
}
