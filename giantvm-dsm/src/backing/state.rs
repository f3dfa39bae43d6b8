//! What a backing remembers of each page: one byte.

use giantvm_core::PageIndex;

use super::BackingError;
use crate::protocol::Rights;

/// How the guest mapping shows a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Not at all: an access faults and waits.
    Not,
    /// With these rights.
    As(Rights),
    /// As lost: an access fails.
    Poisoned,
}

/// Bytes that a backing keeps for every page.
pub const BYTES_PER_PAGE: usize = size_of::<u8>();

const SHOWN: u8 = 0b011;
const USED: u8 = 0b100;

/// The states of all pages. Starts with every page unmapped and its frame untouched, in memory
/// that the system gives lazily, so a sparse region costs nothing up front.
#[derive(Debug)]
pub(super) struct States(Vec<u8>);

impl States {
    pub(super) fn new(pages: usize) -> Self {
        // All zeroes, not any other value: those come from the system untouched.
        Self(vec![0; pages])
    }

    pub(super) const fn pages(&self) -> usize {
        self.0.len()
    }

    /// The page as an index into tables.
    pub(super) fn index(
        &self,
        operation: &'static str,
        page: PageIndex,
    ) -> Result<usize, BackingError> {
        usize::try_from(page.0)
            .ok()
            .filter(|&index| index < self.0.len())
            .ok_or_else(|| misuse(operation, page, "there is no such page"))
    }

    /// The index of a page that is neither mapped nor lost.
    pub(super) fn unmapped(
        &self,
        operation: &'static str,
        page: PageIndex,
    ) -> Result<usize, BackingError> {
        let index = self.index(operation, page)?;
        match self.shown(index) {
            Shown::Not => Ok(index),
            Shown::As(_) => Err(misuse(operation, page, "the page is mapped")),
            Shown::Poisoned => Err(misuse(operation, page, "the page is lost")),
        }
    }

    /// The index of a page that is mapped.
    pub(super) fn mapped(
        &self,
        operation: &'static str,
        page: PageIndex,
    ) -> Result<usize, BackingError> {
        let index = self.index(operation, page)?;
        match self.shown(index) {
            Shown::As(_) => Ok(index),
            Shown::Not | Shown::Poisoned => Err(misuse(operation, page, "the page is not mapped")),
        }
    }

    pub(super) fn shown(&self, index: usize) -> Shown {
        match self.0[index] & SHOWN {
            0 => Shown::Not,
            1 => Shown::As(Rights::Read),
            2 => Shown::As(Rights::Write),
            _ => Shown::Poisoned,
        }
    }

    pub(super) fn show(&mut self, index: usize, shown: Shown) {
        let bits = match shown {
            Shown::Not => 0,
            Shown::As(Rights::Read) => 1,
            Shown::As(Rights::Write) => 2,
            Shown::Poisoned => 3,
        };
        self.0[index] = self.0[index] & !SHOWN | bits;
    }

    /// Whether the page's frame may hold anything but zeroes.
    pub(super) fn used(&self, index: usize) -> bool {
        self.0[index] & USED != 0
    }

    pub(super) fn set_used(&mut self, index: usize) {
        self.0[index] |= USED;
    }

    /// Notes that the page's frame is as it was at first.
    pub(super) fn set_untouched(&mut self, index: usize) {
        self.0[index] &= !USED;
    }
}

pub(super) const fn misuse(
    operation: &'static str,
    page: PageIndex,
    reason: &'static str,
) -> BackingError {
    BackingError::Misuse {
        operation,
        page,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_keeps_its_mark_of_use_through_every_mapping() {
        let mut states = States::new(2);
        states.set_used(1);
        for shown in [
            Shown::As(Rights::Write),
            Shown::As(Rights::Read),
            Shown::Poisoned,
            Shown::Not,
        ] {
            states.show(1, shown);
            assert_eq!(states.shown(1), shown);
            assert!(states.used(1) && !states.used(0));
        }
    }

    #[test]
    fn pages_past_the_end_are_refused() {
        let states = States::new(2);
        assert!(states.index("map", PageIndex(1)).is_ok());
        assert!(states.index("map", PageIndex(2)).is_err());
        assert!(states.index("map", PageIndex(u64::MAX)).is_err());
    }
}
