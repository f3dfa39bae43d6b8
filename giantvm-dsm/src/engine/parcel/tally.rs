//! What the pages that left cost in bytes.

use super::packing::Packing;

/// Pages that a node sent, by how they were packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParcelStats {
    counts: [u64; Packing::ALL.len()],
    /// Bytes of those pages.
    pub bytes: u64,
    /// Bytes that were sent in their place, without the frames around them.
    pub packed: u64,
}

impl ParcelStats {
    /// How many pages were sent so.
    #[must_use]
    pub const fn count(&self, packing: Packing) -> u64 {
        self.counts[packing as usize - 1]
    }

    /// These pages and those of another node.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            counts: std::array::from_fn(|at| self.counts[at] + other.counts[at]),
            bytes: self.bytes + other.bytes,
            packed: self.packed + other.packed,
        }
    }

    pub(in crate::engine) const fn add(&mut self, packing: Packing, bytes: usize, packed: usize) {
        self.counts[packing as usize - 1] += 1;
        self.bytes += bytes as u64;
        self.packed += packed as u64;
    }
}
