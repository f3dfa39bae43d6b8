//! Homes in proportion to the memory that nodes give.

use giantvm_core::NodeId;

use super::HomeMap;

/// Fewest pages that a node needs beside those it is home to.
const LEAST_RESERVE: u64 = 16;

/// The pages of a node's memory budget that it must not be home to: an eighth of them, and at least
/// 16. They are for copies of other nodes' pages, without which its threads could not go on.
///
/// ```
/// use giantvm_dsm::protocol::reserve;
///
/// assert_eq!(reserve(8000), 1000);
/// assert_eq!(reserve(20), 16);
/// ```
#[must_use]
pub const fn reserve(budget: u64) -> u64 {
    let part = budget / 8;
    if part < LEAST_RESERVE {
        LEAST_RESERVE
    } else {
        part
    }
}

/// The memory does not fit what the nodes give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{pages} pages of shared memory do not fit: the nodes give {given}, of which {room} can be \
     home to one, as each node keeps an eighth, and at least 16, for copies; share less memory, \
     give more, or add nodes"
)]
pub struct CapacityError {
    /// Pages that need a home.
    pub pages: u64,
    /// Pages that the nodes give in all.
    pub given: u64,
    /// Pages that they can be home to in all.
    pub room: u64,
}

impl HomeMap {
    /// `pages` pages in contiguous runs over nodes that each give a number of pages of their memory:
    /// in proportion to that, and to none more than its budget without the [`reserve`].
    ///
    /// So every node always has room for the pages that it is home to, whatever it does with the
    /// rest: a page that some node has no room for can go home.
    ///
    /// ```
    /// use giantvm_core::NodeId;
    /// use giantvm_dsm::protocol::HomeMap;
    ///
    /// let [one, two] = [0, 1].map(|number| NodeId::new(number).expect("a small number"));
    /// let homes = HomeMap::weighted(3000, [(one, 1600), (two, 3200)])?;
    /// let runs = homes.runs().map(|(run, home)| (run.len(), home));
    /// assert_eq!(runs.collect::<Vec<_>>(), [(1000, one), (2000, two)]);
    ///
    /// let error = HomeMap::weighted(4201, [(one, 1600), (two, 3200)]).unwrap_err();
    /// assert_eq!(error.room, 4200);
    /// # Ok::<(), giantvm_dsm::protocol::CapacityError>(())
    /// ```
    ///
    /// # Errors
    /// [`CapacityError`] if there are more pages than fit.
    pub fn weighted(
        pages: u64,
        budgets: impl IntoIterator<Item = (NodeId, u64)>,
    ) -> Result<Self, CapacityError> {
        let budgets: Vec<_> = budgets.into_iter().collect();
        let room = |budget: u64| u128::from(budget.saturating_sub(reserve(budget)));
        let total: u128 = budgets.iter().map(|&(_, budget)| room(budget)).sum();
        if u128::from(pages) > total {
            let given = budgets.iter().map(|&(_, budget)| u128::from(budget)).sum();
            return Err(CapacityError {
                pages,
                given: narrow(given),
                room: narrow(total),
            });
        }
        let mut before = 0;
        let runs = budgets.into_iter().map(|(home, budget)| {
            before += room(budget);
            // Rounding the ends, not the lengths: no run gets longer than its node's room.
            let end = u128::from(pages) * before / total.max(1);
            (narrow(end), home)
        });
        Ok(Self {
            runs: runs.collect(),
            moving: true,
        })
    }
}

fn narrow(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nodes(budgets: &[u64]) -> Vec<(NodeId, u64)> {
        let numbered = NodeId::first(budgets.len());
        numbered.zip(budgets.iter().copied()).collect()
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_there_is() {
        let budgets = nodes(&[100, 20]);
        assert!(HomeMap::weighted(88, budgets.clone()).is_ok());
        let error = HomeMap::weighted(89, budgets).unwrap_err();
        let told = (error.pages, error.given, error.room);
        assert_eq!(told, (89, 120, 88));
        assert!(HomeMap::weighted(1, []).is_err());
        assert_eq!(HomeMap::weighted(0, []).unwrap().pages(), 0);
    }

    proptest! {
        #[test]
        fn no_node_is_home_to_more_than_it_has_room_for(
            budgets in prop::collection::vec(0..10_000_u64, 1..8),
            fill in 0..=100_u64,
        ) {
            let room = |budget: u64| budget.saturating_sub(reserve(budget));
            let total: u64 = budgets.iter().map(|&budget| room(budget)).sum();
            let pages = total * fill / 100;
            let homes = HomeMap::weighted(pages, nodes(&budgets)).unwrap();
            prop_assert_eq!(homes.pages(), pages);
            for (run, home) in homes.runs() {
                prop_assert!(run.len() <= room(budgets[home.index()]));
            }
        }
    }
}
