//! A set of nodes in one machine word.

use std::fmt;

use crate::{MAX_NODES, NodeId};

/// A set of up to [`MAX_NODES`] nodes. `Copy`, ordered, and iterated from the lowest node up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeSet(u64);

impl NodeSet {
    /// The set of no node.
    pub const EMPTY: Self = Self(0);

    /// The set whose members are the one bits of `bits`, node 0 the lowest.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The set as a bit mask, node 0 the lowest bit.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set of `node` alone.
    #[must_use]
    pub const fn only(node: NodeId) -> Self {
        Self(1 << node.get())
    }

    /// The set of the first `count` nodes (all of them above [`MAX_NODES`]).
    #[must_use]
    pub fn first(count: usize) -> Self {
        NodeId::first(count).collect()
    }

    /// How many nodes the set has.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the set has no node.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `node` is in the set.
    #[must_use]
    pub const fn contains(self, node: NodeId) -> bool {
        self.0 & (1 << node.get()) != 0
    }

    /// The set with `node`.
    #[must_use]
    pub const fn with(self, node: NodeId) -> Self {
        Self(self.0 | 1 << node.get())
    }

    /// The set without `node`.
    #[must_use]
    pub const fn without(self, node: NodeId) -> Self {
        Self(self.0 & !(1 << node.get()))
    }

    /// All nodes of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The nodes of this set that are not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every node of this set is in `other`.
    #[must_use]
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The lowest node of the set.
    #[must_use]
    pub fn lowest(self) -> Option<NodeId> {
        self.iter().next()
    }

    /// The nodes of the set, lowest first.
    #[must_use]
    pub fn iter(self) -> NodeSetIter {
        NodeSetIter(self.0)
    }
}

/// Iterator over a [`NodeSet`], lowest node first.
#[derive(Debug, Clone)]
pub struct NodeSetIter(u64);

impl Iterator for NodeSetIter {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        if self.0 == 0 {
            return None;
        }
        let lowest = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        NodeId::try_from(lowest).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.0.count_ones() as usize;
        (left, Some(left))
    }
}

impl IntoIterator for NodeSet {
    type Item = NodeId;
    type IntoIter = NodeSetIter;

    fn into_iter(self) -> NodeSetIter {
        self.iter()
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        nodes.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (position, node) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            node.fmt(f)?;
        }
        f.write_str("}")
    }
}

const _: () = assert!(MAX_NODES == u64::BITS as usize, "a NodeSet is one word");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_set_of_integers(a in any::<u64>(), b in any::<u64>(), n in 0_u8..64) {
            let model = |bits: u64| (0..64_u8).filter(|i| bits >> i & 1 == 1).collect::<BTreeSet<_>>();
            let members = |set: NodeSet| set.iter().map(NodeId::get).collect::<BTreeSet<_>>();
            let (sa, sb) = (NodeSet::from_bits(a), NodeSet::from_bits(b));
            let node = NodeId::new(n).unwrap();
            prop_assert_eq!(members(sa.union(sb)), &model(a) | &model(b));
            prop_assert_eq!(members(sa.minus(sb)), &model(a) - &model(b));
            prop_assert_eq!(sa.is_subset(sb), model(a).is_subset(&model(b)));
            prop_assert_eq!(sa.contains(node), model(a).contains(&n));
            prop_assert!(sa.with(node).contains(node));
            prop_assert!(!sa.without(node).contains(node));
            prop_assert_eq!(sa.len(), model(a).len());
            prop_assert_eq!(sa.iter().collect::<NodeSet>(), sa);
        }
    }
}
