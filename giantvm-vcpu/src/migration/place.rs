//! Where a vCPU is, and since which of its moves.

use std::fmt;

use giantvm_core::NodeId;

/// How often a vCPU has moved. Zero is where the machine started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MoveEpoch(pub u64);

impl MoveEpoch {
    /// The epoch of a vCPU that never moved.
    pub const FIRST: Self = Self(0);

    /// The epoch after the next move; `None` after 2^64 - 1 moves.
    #[must_use]
    pub(super) const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }
}

impl fmt::Display for MoveEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node, as the place of a vCPU since one of its moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The node.
    pub node: NodeId,
    /// The move that brought the vCPU there.
    pub epoch: MoveEpoch,
}
