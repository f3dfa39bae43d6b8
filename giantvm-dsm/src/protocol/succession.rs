//! Who takes over what a node that leaves is home to.

use giantvm_core::{MAX_NODES, NodeId, PageRange};

use super::{HomeMap, reserve};

/// How many more pages a node could be home to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Room {
    /// So many.
    Pages(u64),
    /// As many as there are: it gives what its pages take.
    Unlimited,
}

impl Room {
    /// Whether so many more pages fit.
    #[must_use]
    pub fn holds(self, pages: u64) -> bool {
        self >= Self::Pages(pages)
    }
}

/// No node can take over what another is home to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoHeir {
    /// The one that was named is the node itself, none of the cluster, or can be home to nothing any more.
    #[error("node {0} cannot take over what another is home to")]
    Unfit(NodeId),
    /// None of those that were asked has room for it.
    #[error("the node is home to {needed} pages, which no other has room for")]
    Full {
        /// Pages that need another home.
        needed: u64,
        /// Who was asked, and how many more pages each could be home to.
        rooms: Vec<(NodeId, Room)>,
    },
}

/// What is known of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    node: NodeId,
    /// Pages of its memory; `None` for as many as there are.
    budget: Option<u64>,
    /// Pages that it is home to, by the map or as the heir of others.
    homed: u64,
    /// Whether it has handed its part over, after which it is home to nothing.
    retired: bool,
}

impl Share {
    fn room(&self) -> Room {
        match self.budget {
            None => Room::Unlimited,
            Some(budget) => {
                let room = budget.saturating_sub(reserve(budget));
                Room::Pages(room.saturating_sub(self.homed))
            }
        }
    }
}

/// The homes of a cluster as nodes leave it one after the other: how much each is home to, and who has
/// room for more.
///
/// A page that no node has room for goes home, so a home needs room for all its pages at once, beside
/// the [`reserve`]; see [`HomeMap::weighted`]. That holds for an heir, too. Hence what one node is home to goes
/// to one other, whole, and only if it fits there.
///
/// ```
/// use giantvm_core::NodeId;
/// use giantvm_dsm::protocol::{HomeMap, Room, Succession};
///
/// let [one, two, three] = [0, 1, 2].map(|number| NodeId::new(number).expect("a small number"));
/// let budgets = [(one, 1600), (two, 3200), (three, 1600)];
/// let homes = HomeMap::weighted(2800, budgets)?;
/// let mut succession = Succession::new(&homes, budgets.map(|(node, pages)| (node, Some(pages))));
/// assert_eq!(succession.room(three), Some(Room::Pages(700)));
///
/// let heir = succession.heir(three)?;
/// assert_eq!(heir, two);
/// succession.inherit(three, heir);
/// assert_eq!(succession.room(two), Some(Room::Pages(700)));
/// assert_eq!(succession.homed(three), 0);
/// // The 2100 pages of the second would not fit the first, of which 700 are there already.
/// assert!(succession.heir(two).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession(Vec<Share>);

impl Succession {
    /// The homes of a cluster that no node has left, each with its budget in pages; `None` for a node
    /// without a limit. Of more nodes than [`MAX_NODES`] those that come first count.
    pub fn new(homes: &HomeMap, budgets: impl IntoIterator<Item = (NodeId, Option<u64>)>) -> Self {
        let share = |(node, budget)| Share {
            node,
            budget,
            homed: homes.of(node).map(PageRange::len).sum(),
            retired: false,
        };
        Self(budgets.into_iter().take(MAX_NODES).map(share).collect())
    }

    fn share(&self, node: NodeId) -> Option<&Share> {
        self.0.iter().find(|share| share.node == node)
    }

    /// How many pages a node is home to.
    #[must_use]
    pub fn homed(&self, node: NodeId) -> u64 {
        self.share(node).map_or(0, |share| share.homed)
    }

    /// How many more pages a node could be home to; `None` if it can be home to nothing.
    #[must_use]
    pub fn room(&self, node: NodeId) -> Option<Room> {
        let share = self.share(node).filter(|share| !share.retired);
        share.map(Share::room)
    }

    /// Who should take over what `leaver` is home to: the node with the most room, of several that
    /// with the fewest pages, of these the first.
    ///
    /// # Errors
    /// [`NoHeir::Full`] if none has room for all of it.
    pub fn heir(&self, leaver: NodeId) -> Result<NodeId, NoHeir> {
        let others = self.0.iter();
        let others = others.filter(|share| share.node != leaver && !share.retired);
        let needed = self.homed(leaver);
        let fewest_last = |share: &&Share| (share.room(), std::cmp::Reverse(share.homed));
        // Of equals the last counts.
        let most = others.clone().rev().max_by_key(fewest_last);
        let heir = most.filter(|share| share.room().holds(needed));
        heir.map(|share| share.node).ok_or_else(|| NoHeir::Full {
            needed,
            rooms: others.map(|share| (share.node, share.room())).collect(),
        })
    }

    /// Whether `heir` can take over what `leaver` is home to.
    ///
    /// # Errors
    /// [`NoHeir`] says why it cannot.
    pub fn check(&self, leaver: NodeId, heir: NodeId) -> Result<(), NoHeir> {
        let room = self.room(heir).filter(|_| heir != leaver);
        let room = room.ok_or(NoHeir::Unfit(heir))?;
        let needed = self.homed(leaver);
        if room.holds(needed) {
            return Ok(());
        }
        let rooms = vec![(heir, room)];
        Err(NoHeir::Full { needed, rooms })
    }

    /// From now on `heir` is home to what `leaver` was home to, and `leaver` to nothing, for ever.
    pub fn inherit(&mut self, leaver: NodeId, heir: NodeId) {
        let homed = self.homed(leaver);
        for share in &mut self.0 {
            if share.node == leaver {
                (share.homed, share.retired) = (0, true);
            } else if share.node == heir {
                share.homed += homed;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(number: usize) -> NodeId {
        NodeId::try_from(number).unwrap()
    }

    fn cluster(pages: u64, budgets: &[u64]) -> Succession {
        let budgets: Vec<_> = NodeId::first(budgets.len())
            .zip(budgets.iter().copied())
            .collect();
        let homes = HomeMap::weighted(pages, budgets.clone()).unwrap();
        let budgets = budgets.iter().map(|&(node, budget)| (node, Some(budget)));
        Succession::new(&homes, budgets)
    }

    #[test]
    fn without_limits_the_heir_is_who_is_home_to_least_and_among_equals_the_first() {
        let homes = HomeMap::even(10, NodeId::first(4));
        let mut nodes = Succession::new(&homes, NodeId::first(4).map(|node| (node, None)));
        // Of 3, 3, 2, 2 pages.
        assert_eq!(nodes.heir(node(0)), Ok(node(2)));
        nodes.inherit(node(3), node(2));
        assert_eq!(nodes.heir(node(2)), Ok(node(0)));
        assert_eq!(nodes.room(node(3)), None);
        assert_eq!(nodes.check(node(0), node(3)), Err(NoHeir::Unfit(node(3))));
        assert_eq!(nodes.check(node(0), node(0)), Err(NoHeir::Unfit(node(0))));
        assert_eq!(nodes.check(node(0), node(9)), Err(NoHeir::Unfit(node(9))));
    }

    #[test]
    fn what_fits_no_single_node_is_refused_with_the_room_of_each() {
        // Of 80 pages they are home to 40, 20 and 20, and have room for 84, 40 and 40.
        let nodes = cluster(80, &[100, 56, 56]);
        let needed = 40;
        let rooms = vec![(node(1), Room::Pages(20)), (node(2), Room::Pages(20))];
        let refused = nodes.heir(node(0));
        assert_eq!(refused, Err(NoHeir::Full { needed, rooms }));
        assert_eq!(nodes.heir(node(1)), Ok(node(0)));
        assert_eq!(nodes.check(node(1), node(2)), Ok(()));
        let named = nodes.check(node(0), node(2)).unwrap_err();
        let rooms = vec![(node(2), Room::Pages(20))];
        assert_eq!(named, NoHeir::Full { needed, rooms });
    }

    #[test]
    fn a_node_that_has_handed_its_part_over_needs_no_room_elsewhere() {
        let mut nodes = cluster(84, &[100, 100]);
        nodes.inherit(node(1), node(0));
        assert_eq!(nodes.heir(node(1)), Ok(node(0)));
        assert_eq!(nodes.room(node(0)), Some(Room::Pages(0)));
    }

    proptest! {
        #[test]
        fn no_home_is_ever_given_more_than_it_has_room_for_and_none_is_lost(
            budgets in prop::collection::vec(0..10_000_u64, 2..8),
            fill in 0..=100_u64,
            leavers in prop::collection::vec(0..8_usize, 1..8),
        ) {
            let room = |budget: u64| budget.saturating_sub(reserve(budget));
            let pages = budgets.iter().map(|&budget| room(budget)).sum::<u64>() * fill / 100;
            let mut nodes = cluster(pages, &budgets);
            for leaver in leavers.into_iter().filter(|&leaver| leaver < budgets.len()).map(node) {
                match nodes.heir(leaver) {
                    Ok(heir) => {
                        prop_assert_eq!(nodes.check(leaver, heir), Ok(()));
                        nodes.inherit(leaver, heir);
                    }
                    Err(NoHeir::Full { needed, rooms }) => {
                        prop_assert_eq!(needed, nodes.homed(leaver));
                        for (other, _) in rooms {
                            prop_assert!(nodes.check(leaver, other).is_err());
                        }
                    }
                    Err(error) => prop_assert!(false, "{error}"),
                }
                let homed = || budgets.iter().enumerate().map(|(at, _)| nodes.homed(node(at)));
                prop_assert_eq!(homed().sum::<u64>(), pages);
                let mut both = homed().zip(&budgets);
                prop_assert!(both.all(|(homed, &budget)| homed <= room(budget)));
            }
        }
    }
}
