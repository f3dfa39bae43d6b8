//! Which node is a page's birth home: the one that the map of homes names, or who took that part over
//! from it.

use std::collections::BTreeMap;

use giantvm_core::{MAX_NODES, NodeId, NodeSet, PageIndex, PageRange};

use crate::protocol::HomeMap;

/// The map of homes, and the nodes that have handed their part of it over.
///
/// Whoever has an heir never becomes the home of a page again, and never an heir. So heirs form no
/// circle, and a chain of them is shorter than there are nodes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Births {
    map: HomeMap,
    heirs: BTreeMap<NodeId, NodeId>,
    /// The node that has an heir and is still there.
    leaving: Option<NodeId>,
    /// Nodes that are home to nothing, for ever.
    retired: NodeSet,
}

impl Births {
    pub(super) const fn new(map: HomeMap) -> Self {
        Self {
            map,
            heirs: BTreeMap::new(),
            leaving: None,
            retired: NodeSet::EMPTY,
        }
    }

    /// Whom the map names. What a node keeps of homes is kept as the difference to this one.
    pub(super) fn mapped(&self, page: PageIndex) -> Option<NodeId> {
        self.map.home(page)
    }

    /// The birth home.
    pub(super) fn home(&self, page: PageIndex) -> Option<NodeId> {
        let mapped = self.map.home(page)?;
        Some(self.last(mapped, None))
    }

    /// Who was the birth home before the node that is leaving named its heir. It is still there,
    /// and knows the heir.
    pub(super) fn before(&self, page: PageIndex) -> Option<NodeId> {
        let mapped = self.map.home(page)?;
        Some(self.last(mapped, self.leaving))
    }

    /// Follows the heirs, not past `until`.
    fn last(&self, first: NodeId, until: Option<NodeId>) -> NodeId {
        let mut node = first;
        for _ in 0..MAX_NODES.min(self.heirs.len()) {
            match self.heirs.get(&node) {
                Some(&heir) if Some(node) != until => node = heir,
                Some(_) | None => break,
            }
        }
        node
    }

    /// Whether `node` is or was a moment ago the birth home.
    pub(super) fn is_or_was(&self, page: PageIndex, node: NodeId) -> bool {
        self.home(page) == Some(node) || self.before(page) == Some(node)
    }

    /// The pages that `node` is birth home to, in runs.
    pub(super) fn of(&self, node: NodeId) -> Vec<PageRange> {
        let runs = self.map.runs();
        let runs = runs.filter(|&(_, mapped)| self.last(mapped, None) == node);
        runs.map(|(run, _)| run).collect()
    }

    /// How many nodes have handed their part over.
    pub(super) fn handovers(&self) -> usize {
        self.heirs.len()
    }

    /// Whether `node` has handed its part over.
    pub(super) fn has_heir(&self, node: NodeId) -> bool {
        self.heirs.contains_key(&node)
    }

    /// Whether `heir` may take over the part of `node` now.
    pub(super) fn may_inherit(&self, node: NodeId, heir: NodeId) -> bool {
        node != heir && !self.has_heir(node) && !self.has_heir(heir)
    }

    /// The node that has an heir and is still there.
    pub(super) const fn leaving(&self) -> Option<NodeId> {
        self.leaving
    }

    /// From now on `heir` is the birth home of what `node` was it of.
    pub(super) fn inherit(&mut self, node: NodeId, heir: NodeId) {
        self.heirs.insert(node, heir);
        self.leaving = Some(node);
    }

    /// `node`, which has an heir, is home to nothing any more.
    pub(super) fn retire(&mut self, node: NodeId) {
        self.retired = self.retired.with(node);
        self.leaving = self.leaving.filter(|&leaving| leaving != node);
    }

    pub(super) const fn is_retired(&self, node: NodeId) -> bool {
        self.retired.contains(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8) -> NodeId {
        NodeId::new(number).unwrap()
    }

    #[test]
    fn heirs_of_heirs_are_found_and_the_last_step_is_known() {
        let mut births = Births::new(HomeMap::even(4, NodeId::first(4)));
        let (page, own) = (PageIndex(0), PageIndex(1));
        assert_eq!(births.home(page), Some(node(0)));
        births.inherit(node(0), node(1));
        assert_eq!(births.home(page), Some(node(1)));
        assert_eq!(births.before(page), Some(node(0)));
        assert_eq!(births.before(own), Some(node(1)));
        births.retire(node(0));
        assert_eq!(births.before(page), Some(node(1)));
        assert!(!births.may_inherit(node(1), node(0)));
        births.inherit(node(1), node(3));
        let homes = [page, own].map(|page| (births.home(page), births.before(page)));
        assert_eq!(homes, [(Some(node(3)), Some(node(1))); 2]);
        assert_eq!(
            births.of(node(3)).iter().map(|run| run.len()).sum::<u64>(),
            3
        );
        assert_eq!(births.mapped(page), Some(node(0)));
    }
}
