//! How full is full.

use crate::protocol::reserve;

/// Watermarks of a node's memory, in pages with a frame. Between the pages that a node is home to
/// and the budget is the [`reserve`]: the marks divide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// All that the node gives. Above it, pages leave without patience.
    pub budget: u64,
    /// Above this, pages leave.
    pub high: u64,
    /// Down to this. Above it, pages are put on probation.
    pub low: u64,
    /// Most pages on probation.
    pub trial: usize,
    /// How many pages have to come before one on probation may leave.
    pub patience: u64,
}

/// Longest patience.
const MOST_PATIENCE: u64 = 32;

impl Limits {
    pub(super) fn of(budget: u64) -> Self {
        let reserve = reserve(budget);
        Self {
            budget,
            high: budget.saturating_sub(reserve / 4),
            low: budget.saturating_sub(reserve / 2),
            trial: usize::try_from(reserve / 4).unwrap_or(usize::MAX),
            patience: (reserve / 8).min(MOST_PATIENCE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_full_of_its_own_pages_has_room_for_copies_below_the_low_mark() {
        for budget in [17, 64, 1000, 1 << 18] {
            let (limits, homed) = (Limits::of(budget), budget - reserve(budget));
            assert!(homed + 8 <= limits.low, "{budget}: {limits:?}");
            assert!(limits.low < limits.high && limits.high < budget);
        }
    }
}
