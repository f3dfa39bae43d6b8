//! What every word must hold: the last value that any thread of any node wrote to it.

use giantvm_core::PageIndex;

use super::config::WORDS;

/// The last values written, in the order of the virtual clock.
#[derive(Debug)]
pub(super) struct Oracle {
    pages: Vec<[u64; WORDS]>,
    writes: u64,
}

impl Oracle {
    pub(super) fn new(pages: u64) -> Self {
        let pages = (0..pages).map(|_| [0; WORDS]).collect();
        Self { pages, writes: 0 }
    }

    /// How many pages there are.
    pub(super) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// The words of a page as all its copies must show them.
    pub(super) fn page(&self, page: PageIndex) -> &[u64; WORDS] {
        &self.pages[index(page)]
    }

    /// A value that was never written before.
    pub(super) const fn fresh(&self) -> u64 {
        self.writes + 1
    }

    pub(super) fn wrote(&mut self, page: PageIndex, word: usize, value: u64) {
        self.writes += 1;
        self.pages[index(page)][word] = value;
    }
}

fn index(page: PageIndex) -> usize {
    usize::try_from(page.0).expect("a simulated page")
}
