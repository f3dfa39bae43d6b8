//! Where rows, and the vectors' elements, are in memory.

use core::ops::Range;

use crate::abi;
use crate::programs::parts::{owned, owner};

/// Doubles of one page.
const GRAIN: u64 = abi::PAGE / 8;

/// Which rows a vCPU has, and where each row is: the rows of every vCPU start a page, so that two
/// never write to the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    rows: u64,
    vcpu: u32,
    vcpus: u32,
    stride: u64,
}

impl Rows {
    /// The rows of a vCPU.
    pub(super) fn new(rows: u64, vcpu: u32, vcpus: u32) -> Self {
        let longest = (0..vcpus).map(|vcpu| owned(rows, vcpu, vcpus).len() as u64);
        let stride = longest.max().unwrap_or(0).next_multiple_of(GRAIN);
        Self {
            rows,
            vcpu,
            vcpus,
            stride,
        }
    }

    /// Elements of an array with all rows, and gaps.
    pub(super) fn length(self) -> usize {
        (self.stride * u64::from(self.vcpus)) as usize
    }

    /// The own rows.
    pub(super) fn owned(self) -> Range<usize> {
        owned(self.rows, self.vcpu, self.vcpus)
    }

    /// Where the own rows are.
    pub(super) fn places(self) -> Range<usize> {
        let start = (self.stride * u64::from(self.vcpu)) as usize;
        start..start + self.owned().len()
    }

    /// Where a row is.
    pub(super) fn place(self, row: u32) -> u32 {
        let owner = owner(self.rows, row.into(), self.vcpus);
        let first = owned(self.rows, owner, self.vcpus).start;
        // Both are far below 2^32: vectors have at most 14000 elements and 254 gaps of a page.
        self.stride as u32 * owner + row - first as u32
    }

    /// Which of the own rows a row is.
    pub(super) fn find(self, row: u32) -> Option<usize> {
        let owned = self.owned();
        let row = row as usize;
        owned.contains(&row).then(|| row - owned.start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_keep_their_order_and_pages_have_one_writer(
            rows in 1u64..3000, vcpus in 1u32..255
        ) {
            let mut last = None;
            for vcpu in 0..vcpus {
                let own = Rows::new(rows, vcpu, vcpus);
                prop_assert!(own.places().start.is_multiple_of(GRAIN as usize));
                prop_assert!(own.places().end <= own.length());
                for (row, place) in own.owned().zip(own.places()) {
                    let row = row as u32;
                    prop_assert_eq!(own.place(row) as usize, place);
                    prop_assert_eq!(own.find(row), Some(place - own.places().start));
                    prop_assert!(last < Some(place));
                    last = Some(place);
                }
            }
        }
    }
}
