//! Pages under a protocol with one writer or many readers.

use std::collections::BTreeMap;

use giantvm_core::{NodeId, NodeSet, PageIndex};

use crate::schedule::{GroupSize, Machine, Nanos, PageGroup};

#[derive(Debug, Clone, Copy)]
struct Page {
    holders: NodeSet,
    /// Who wrote it last.
    owner: NodeId,
    is_exclusive: bool,
}

/// All pages. One that no one touched is held by its home.
#[derive(Debug)]
pub(super) struct Memory {
    pages: BTreeMap<PageIndex, Page>,
    homes: BTreeMap<PageGroup, NodeId>,
    first_home: NodeId,
}

impl Memory {
    pub(super) fn new(first_home: NodeId) -> Self {
        Self {
            pages: BTreeMap::new(),
            homes: BTreeMap::new(),
            first_home,
        }
    }

    pub(super) fn home(&self, group: PageGroup) -> NodeId {
        self.homes.get(&group).copied().unwrap_or(self.first_home)
    }

    pub(super) fn rehome(&mut self, group: PageGroup, to: NodeId) {
        self.homes.insert(group, to);
    }

    /// A node loads or stores. Returns what it waits for other nodes; `None` if it need not.
    pub(super) fn access(
        &mut self,
        machine: &Machine,
        node: NodeId,
        page: PageIndex,
        writes: bool,
    ) -> Option<Nanos> {
        let home = self.home(PageGroup::of(page, GroupSize::DEFAULT));
        let state = self.pages.entry(page).or_insert(Page {
            holders: NodeSet::from_iter([home]),
            owner: home,
            is_exclusive: true,
        });
        let has = state.holders.contains(node);
        if has && (!writes || state.is_exclusive) {
            return None;
        }
        let others = state.holders.iter().filter(|&of| of != node);
        let farthest = others.max_by_key(|&of| machine.link(node, of));
        let answers = if writes { farthest } else { Some(state.owner) };
        let waits = answers.map(|from| via(machine, node, home, from));
        if writes {
            state.holders = NodeSet::from_iter([node]);
            state.owner = node;
        } else {
            state.holders = state.holders.with(node);
        }
        state.is_exclusive = writes;
        waits
    }
}

/// A link's cost is that of a request and its answer; by way of a home that is neither end, there
/// are three legs.
fn via(machine: &Machine, node: NodeId, home: NodeId, from: NodeId) -> Nanos {
    let legs = [(node, home), (home, from), (from, node)];
    let sum: u64 = legs.iter().map(|&(a, b)| machine.link(a, b).0).sum();
    Nanos(sum / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_take_pages_away_and_readers_share_them() {
        let machine = Machine::new(&[1, 1, 1]).unwrap();
        let [a, b, c] = [0, 1, 2].map(|node| NodeId::new(node).unwrap());
        let (mut memory, page) = (Memory::new(a), PageIndex(3));
        let link = machine.link(a, b);
        let mut access = |node, writes| memory.access(&machine, node, page, writes);
        assert_eq!(access(a, true), None, "its home has it");
        assert_eq!(access(b, false), Some(link));
        assert_eq!(access(b, false), None);
        assert_eq!(access(a, false), None, "a reader leaves the others theirs");
        assert_eq!(access(b, true), Some(link));
        assert_eq!(
            access(c, true),
            Some(Nanos(link.0 * 3 / 2)),
            "by way of its home"
        );
        assert_eq!(access(c, true), None);
        assert!(access(a, false).is_some());
    }
}
