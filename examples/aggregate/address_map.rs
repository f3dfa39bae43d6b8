//! Where the pages of the shared memory are in the guest's physical address space.

use std::ops::Range;

use giantvm_core::{GuestAddress, PageIndex, PageRange, PageSize};

/// The last GiB below 4 GiB, where a PC has its local and I/O APICs and other devices.
pub(crate) const DEVICE_HOLE: Range<u64> = 0xc000_0000..0x1_0000_0000;

/// Pages in their order from guest address 0, with or without a hole for devices.
#[derive(Debug, Clone)]
pub(crate) struct AddressMap {
    page_size: PageSize,
    pages: u64,
    /// Empty for none.
    hole: Range<u64>,
}

impl AddressMap {
    /// All pages in a row.
    pub(crate) const fn flat(page_size: PageSize, pages: u64) -> Self {
        let hole = u64::MAX..u64::MAX;
        Self {
            page_size,
            pages,
            hole,
        }
    }

    /// What would be in the [`DEVICE_HOLE`] is above 4 GiB.
    pub(crate) const fn with_hole(page_size: PageSize, pages: u64) -> Self {
        Self {
            page_size,
            pages,
            hole: DEVICE_HOLE,
        }
    }

    /// The guest's address of the memory's byte number `offset`.
    pub(crate) const fn address(&self, offset: u64) -> GuestAddress {
        if offset < self.hole.start {
            GuestAddress(offset)
        } else {
            GuestAddress(offset + (self.hole.end - self.hole.start))
        }
    }

    /// Runs of pages and where the guest has them, in ascending order.
    pub(crate) fn regions(&self) -> Vec<(GuestAddress, PageRange)> {
        let split = self.hole.start / self.page_size.bytes() as u64;
        let below = 0..self.pages.min(split);
        let above = split..self.pages;
        let runs = [below, above].into_iter().filter(|run| run.start < run.end);
        runs.map(|run| {
            let address = self.address(run.start * self.page_size.bytes() as u64);
            let (start, end) = (PageIndex(run.start), PageIndex(run.end));
            (address, PageRange { start, end })
        })
        .collect()
    }

    /// The addresses of the memory from `offset` on, `bytes` long: two runs where it goes past the
    /// hole.
    pub(crate) fn ranges(&self, offset: u64, bytes: u64) -> Vec<Range<u64>> {
        let end = offset + bytes;
        let below = offset..end.min(self.hole.start);
        let above = offset.max(self.hole.start)..end;
        let runs = [below, above].into_iter().filter(|run| run.start < run.end);
        runs.map(|run| {
            let start = self.address(run.start).0;
            start..start + (run.end - run.start)
        })
        .collect()
    }

    /// All addresses of memory.
    pub(crate) fn memory(&self) -> Vec<Range<u64>> {
        self.ranges(0, self.pages * self.page_size.bytes() as u64)
    }

    /// Whether there is memory at `address`.
    pub(crate) fn contains(&self, address: GuestAddress) -> bool {
        let memory = self.memory();
        memory.iter().any(|range| range.contains(&address.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn what_the_hole_would_hide_comes_after_it() {
        let map = AddressMap::with_hole(PageSize::K4, 4 * GIB / 4096);
        assert_eq!(map.memory(), [0..3 * GIB, 4 * GIB..5 * GIB]);
        let starts: Vec<_> = map
            .regions()
            .iter()
            .map(|(at, run)| (at.0, run.start.0))
            .collect();
        assert_eq!(starts, [(0, 0), (4 * GIB, 3 * GIB / 4096)]);
        assert_eq!(map.address(3 * GIB + 5).0, 4 * GIB + 5);
        let across = map.ranges(2 * GIB, 2 * GIB);
        assert_eq!(across, [2 * GIB..3 * GIB, 4 * GIB..5 * GIB]);
        assert!(map.contains(GuestAddress(3 * GIB - 1)));
        assert!(!map.contains(GuestAddress(3 * GIB)));
    }

    #[test]
    fn little_memory_has_no_hole() {
        for map in [
            AddressMap::with_hole(PageSize::K4, 16),
            AddressMap::flat(PageSize::K4, 16),
        ] {
            let all = 0..0x1_0000;
            assert_eq!(map.memory(), std::slice::from_ref(&all));
            assert_eq!(map.regions().len(), 1);
        }
    }
}
