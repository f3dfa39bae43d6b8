//! What a budget remembers of each page: one byte.

use giantvm_core::PageIndex;

/// Bytes that a budget keeps for every page.
pub(crate) const BYTES_PER_PAGE: usize = size_of::<u8>();

/// What the frame of a page is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// There is none.
    None,
    /// Its bytes are needed by no one.
    Spare,
    /// It cannot go now: its bytes came and are not mapped yet.
    Held,
    /// Its bytes may be mapped again, if they are still the page's.
    Retained,
    /// Other nodes may have the same bytes.
    Shared,
    /// No other node has these bytes.
    Owned,
}

impl Frame {
    const ALL: [Self; 6] = [
        Self::None,
        Self::Spare,
        Self::Held,
        Self::Retained,
        Self::Shared,
        Self::Owned,
    ];
}

/// What else is known of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// It is on probation: its mapping is suspended, and no one has used it since.
    Trial = 1 << 3,
    /// It was on probation once, and is so again.
    Again = 1 << 4,
    /// The wish to be rid of it is under way.
    Leaving = 1 << 5,
    /// It is in the queue of those on probation, or was.
    Queued = 1 << 6,
}

const FRAME: u8 = 0b111;

/// Pages without a frame that are passed over at once.
const STRIDE: usize = 64;

/// The states of all pages. Starts with no frame anywhere, in memory that the system gives lazily.
#[derive(Debug)]
pub(super) struct States(Vec<u8>);

impl States {
    pub(super) fn new(pages: u64) -> Self {
        // On a machine that cannot address the table, allocating it fails next.
        Self(vec![0; usize::try_from(pages).unwrap_or(usize::MAX)])
    }

    pub(super) const fn pages(&self) -> u64 {
        self.0.len() as u64
    }

    fn byte(&self, page: PageIndex) -> u8 {
        let at = usize::try_from(page.0).ok();
        at.and_then(|at| self.0.get(at)).copied().unwrap_or(0)
    }

    fn change(&mut self, page: PageIndex, change: impl FnOnce(u8) -> u8) {
        let at = usize::try_from(page.0).ok();
        if let Some(byte) = at.and_then(|at| self.0.get_mut(at)) {
            *byte = change(*byte);
        }
    }

    pub(super) fn frame(&self, page: PageIndex) -> Frame {
        let number = usize::from(self.byte(page) & FRAME);
        Frame::ALL.get(number).copied().unwrap_or(Frame::Held)
    }

    pub(super) fn set_frame(&mut self, page: PageIndex, frame: Frame) {
        self.change(page, |byte| byte & !FRAME | frame as u8);
    }

    pub(super) fn has(&self, page: PageIndex, mark: Mark) -> bool {
        self.byte(page) & mark as u8 != 0
    }

    pub(super) fn mark(&mut self, page: PageIndex, mark: Mark) {
        self.change(page, |byte| byte | mark as u8);
    }

    /// Takes a mark away. Whether it was there.
    pub(super) fn unmark(&mut self, page: PageIndex, mark: Mark) -> bool {
        let had = self.has(page, mark);
        self.change(page, |byte| byte & !(mark as u8));
        had
    }

    /// The first page from `start` on, before `end`, that has a frame or a mark.
    pub(super) fn next(&self, start: u64, end: u64) -> Option<u64> {
        let place = |page: u64| usize::try_from(page.min(self.pages())).unwrap_or(self.0.len());
        let (start, end) = (place(start), place(end));
        let bytes = self.0.get(start..end)?;
        let mut passed = 0;
        for some in bytes.chunks(STRIDE) {
            // Compared as a whole, which takes a few instructions.
            if some != &[0; STRIDE][..some.len()] {
                let first = some.iter().position(|&byte| byte != 0)?;
                return Some((start + passed + first) as u64);
            }
            passed += some.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_marks_do_not_touch_one_another() {
        let mut states = States::new(4);
        let page = PageIndex(2);
        states.mark(page, Mark::Leaving);
        for frame in Frame::ALL {
            states.set_frame(page, frame);
            assert_eq!(states.frame(page), frame);
            assert!(states.has(page, Mark::Leaving) && !states.has(page, Mark::Trial));
        }
        assert!(states.unmark(page, Mark::Leaving) && !states.unmark(page, Mark::Leaving));
        assert_eq!(states.frame(PageIndex(1)), Frame::None);
        assert_eq!(states.frame(PageIndex(9)), Frame::None);
    }

    #[test]
    fn the_next_page_is_found_across_empty_stretches() {
        let mut states = States::new(1000);
        for page in [3, 700] {
            states.set_frame(PageIndex(page), Frame::Owned);
        }
        assert_eq!(states.next(0, 1000), Some(3));
        assert_eq!(states.next(4, 1000), Some(700));
        assert_eq!(states.next(4, 700), None);
        assert_eq!(states.next(701, 5000), None);
    }
}
