//! What every word must hold: the last value that any thread of any node wrote to it, in the order
//! of logical time.

use std::collections::BTreeMap;

use giantvm_core::{PageIndex, Stamp};

use super::config::WORDS;

/// One word: what its copies must show.
#[derive(Debug, Clone)]
struct History {
    /// The values that some node may still see, by the logical times of their writes.
    writes: Vec<(Stamp, u64)>,
    /// The latest logical time at which it was read.
    read: Stamp,
}

/// A write at a logical time that is over: what was written or read later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Late {
    /// There is a later write.
    #[error("after a write at {0}")]
    Written(Stamp),
    /// Someone has seen the old value at a later time.
    #[error("after a read at {0}")]
    Read(Stamp),
}

/// The values written. Where all clocks stand still, each word has one: the last.
#[derive(Debug)]
pub(super) struct Oracle {
    pages: Vec<[History; WORDS]>,
    writes: u64,
}

impl Oracle {
    pub(super) fn new(pages: u64) -> Self {
        let untouched = || {
            std::array::from_fn(|_| History {
                writes: vec![(Stamp::ZERO, 0)],
                read: Stamp::ZERO,
            })
        };
        let pages = (0..pages).map(|_| untouched()).collect();
        Self { pages, writes: 0 }
    }

    /// How many pages there are.
    pub(super) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// What a node whose clock shows `at` must see of a page.
    pub(super) fn page(&self, page: PageIndex, at: Stamp) -> [u64; WORDS] {
        std::array::from_fn(|word| self.word(page, word, at))
    }

    /// What a node whose clock shows `at` must see of a word.
    pub(super) fn word(&self, page: PageIndex, word: usize, at: Stamp) -> u64 {
        let history = &self.pages[index(page)][word];
        let seen = history.writes.iter().rev().find(|(stamp, _)| *stamp <= at);
        seen.map_or(0, |&(_, value)| value)
    }

    /// Notes a read at logical time `at`.
    pub(super) fn read(&mut self, page: PageIndex, word: usize, at: Stamp) {
        let history = &mut self.pages[index(page)][word];
        history.read = history.read.max(at);
    }

    /// A value that was never written before.
    pub(super) const fn fresh(&self) -> u64 {
        self.writes + 1
    }

    /// Notes a write at logical time `at`; no clock shows less than `oldest`.
    ///
    /// The error is what makes it too late.
    pub(super) fn wrote(
        &mut self,
        page: PageIndex,
        word: usize,
        value: u64,
        at: Stamp,
        oldest: Stamp,
    ) -> Result<(), Late> {
        self.writes += 1;
        let history = &mut self.pages[index(page)][word];
        if history.read > at {
            return Err(Late::Read(history.read));
        }
        let history = &mut history.writes;
        match history.last_mut() {
            Some((last, _)) if *last > at => return Err(Late::Written(*last)),
            Some((last, old)) if *last == at => *old = value,
            Some(_) | None => history.push((at, value)),
        }
        let visible = history.partition_point(|&(stamp, _)| stamp <= oldest);
        history.drain(..visible.saturating_sub(1));
        Ok(())
    }
}

/// What each version of each page was seen to hold.
#[derive(Debug, Default)]
pub(super) struct Versions(BTreeMap<(PageIndex, u64), [u64; WORDS]>);

impl Versions {
    /// Whether a version holds what it was seen to hold before. Notes what it holds.
    pub(super) fn agrees(&mut self, page: PageIndex, version: u64, words: [u64; WORDS]) -> bool {
        *self.0.entry((page, version)).or_insert(words) == words
    }
}

fn index(page: PageIndex) -> usize {
    usize::try_from(page.0).expect("a simulated page")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageIndex = PageIndex(0);

    #[test]
    fn a_clock_that_is_behind_sees_the_value_of_its_time() {
        let mut oracle = Oracle::new(1);
        oracle.wrote(PAGE, 0, 7, Stamp(5), Stamp::ZERO).unwrap();
        oracle.wrote(PAGE, 0, 8, Stamp(9), Stamp::ZERO).unwrap();
        let seen = [4, 5, 8, 9].map(|at| oracle.word(PAGE, 0, Stamp(at)));
        assert_eq!(seen, [0, 7, 7, 8]);
        assert_eq!(oracle.page(PAGE, Stamp(5)), [7, 0, 0, 0]);
    }

    #[test]
    fn a_write_before_what_was_written_or_read_is_an_error() {
        let mut oracle = Oracle::new(1);
        oracle.wrote(PAGE, 0, 7, Stamp(5), Stamp::ZERO).unwrap();
        let early = oracle.wrote(PAGE, 0, 8, Stamp(4), Stamp::ZERO);
        assert_eq!(early, Err(Late::Written(Stamp(5))));
        oracle.read(PAGE, 0, Stamp(8));
        let early = oracle.wrote(PAGE, 0, 8, Stamp(7), Stamp::ZERO);
        assert_eq!(early, Err(Late::Read(Stamp(8))));
        assert!(oracle.wrote(PAGE, 0, 8, Stamp(8), Stamp::ZERO).is_ok());
    }

    #[test]
    fn what_no_clock_can_see_is_forgotten() {
        let mut oracle = Oracle::new(1);
        for at in 1..100 {
            let oldest = Stamp(at - 1);
            oracle.wrote(PAGE, 0, at, Stamp(at), oldest).unwrap();
        }
        assert!(oracle.pages[0][0].writes.len() <= 2);
    }
}
