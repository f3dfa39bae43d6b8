//! Pages: the unit of coherence.

use std::fmt;
use std::ops::Range;

use vm_memory::GuestAddress;

/// A page size was not a power of two between [`PageSize::MIN`] and [`PageSize::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("page size {0} is not a power of two from 4096 to 2097152 bytes")]
pub struct PageSizeError(pub u64);

/// The size of a coherence unit: a power of two from 4 KiB to 2 MiB, chosen once for a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize {
    shift: u32,
}

impl PageSize {
    /// 4 KiB, the base page of x86-64 and the default.
    pub const K4: Self = Self { shift: 12 };
    /// The smallest page size.
    pub const MIN: Self = Self::K4;
    /// The largest page size: 2 MiB.
    pub const MAX: Self = Self { shift: 21 };

    /// A page size of `bytes`.
    ///
    /// # Errors
    /// [`PageSizeError`] unless `bytes` is a power of two from 4 KiB to 2 MiB.
    pub const fn new(bytes: u64) -> Result<Self, PageSizeError> {
        if bytes.is_power_of_two() && bytes >= 1 << 12 && bytes <= 1 << 21 {
            Ok(Self {
                shift: bytes.trailing_zeros(),
            })
        } else {
            Err(PageSizeError(bytes))
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        1 << self.shift
    }

    /// How many pages hold `bytes` bytes, the last one perhaps in part.
    #[must_use]
    pub const fn pages_for(self, bytes: u64) -> u64 {
        bytes.div_ceil(1 << self.shift)
    }

    /// The page that contains `address`.
    #[must_use]
    pub const fn page_of(self, address: GuestAddress) -> PageIndex {
        PageIndex(address.0 >> self.shift)
    }

    /// The first address of `page`; `None` past the end of the 64-bit address space.
    #[must_use]
    pub fn address_of(self, page: PageIndex) -> Option<GuestAddress> {
        self.offset_of(page).map(GuestAddress)
    }

    /// The byte offset of `page` from page 0; `None` on overflow.
    #[must_use]
    pub const fn offset_of(self, page: PageIndex) -> Option<u64> {
        page.0.checked_mul(1 << self.shift)
    }

    /// `address` rounded down to its page.
    #[must_use]
    pub const fn align_down(self, address: GuestAddress) -> GuestAddress {
        GuestAddress(address.0 & !((1 << self.shift) - 1))
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self::K4
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shift {
            20.. => write!(f, "{} MiB", 1 << (self.shift - 20)),
            _ => write!(f, "{} KiB", 1 << (self.shift - 10)),
        }
    }
}

/// The number of a page: its guest address divided by the page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PageIndex(pub u64);

impl fmt::Display for PageIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A run of pages, `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageRange {
    /// The first page.
    pub start: PageIndex,
    /// The page after the last one.
    pub end: PageIndex,
}

impl PageRange {
    /// The first `count` pages.
    #[must_use]
    pub const fn first(count: u64) -> Self {
        Self {
            start: PageIndex(0),
            end: PageIndex(count),
        }
    }

    /// Whether `page` is in the run.
    #[must_use]
    pub const fn contains(self, page: PageIndex) -> bool {
        self.start.0 <= page.0 && page.0 < self.end.0
    }

    /// How many pages the run has.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// Whether the run has no page.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The pages of the run, in order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = PageIndex> {
        self.raw().map(PageIndex)
    }

    const fn raw(self) -> Range<u64> {
        self.start.0..self.end.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_powers_of_two_in_range_are_page_sizes() {
        assert_eq!(PageSize::new(4096), Ok(PageSize::K4));
        assert_eq!(PageSize::new(2 << 20), Ok(PageSize::MAX));
        for bad in [0, 1, 2048, 4097, 4 << 20, u64::MAX] {
            assert_eq!(PageSize::new(bad), Err(PageSizeError(bad)));
        }
    }

    #[test]
    fn addresses_and_pages_round_trip() {
        let size = PageSize::K4;
        let page = size.page_of(GuestAddress(0x12_3456));
        assert_eq!(page, PageIndex(0x123));
        assert_eq!(size.address_of(page), Some(GuestAddress(0x12_3000)));
        assert_eq!(size.align_down(GuestAddress(0x12_3456)).0, 0x12_3000);
        assert_eq!(size.address_of(PageIndex(u64::MAX)), None);
        assert_eq!(size.pages_for(4097), 2);
    }

    #[test]
    fn sizes_print_in_their_unit() {
        assert_eq!(PageSize::K4.to_string(), "4 KiB");
        assert_eq!(PageSize::MAX.to_string(), "2 MiB");
    }
}
