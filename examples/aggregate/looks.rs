//! Who asked whom for its counters: one question at a time each way, so that none can flood another.

use giantvm_core::{NodeId, NodeSet};

/// Questions without an answer yet.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// Peers that this node has to answer.
    asking: NodeSet,
    /// Peers that have to answer this node.
    awaited: NodeSet,
}

impl Looks {
    /// Notes a peer's question; `false` if it waits for an answer already, which does for both.
    pub(crate) fn asked(&mut self, by: NodeId) -> bool {
        let first = !self.asking.contains(by);
        self.asking = self.asking.with(by);
        first
    }

    /// Notes that a peer gets its answer.
    pub(crate) fn answered(&mut self, to: NodeId) {
        self.asking = self.asking.without(to);
    }

    /// Those of `peers` that can be asked now, as they owe no answer; they do from now on.
    pub(crate) fn ask(&mut self, peers: NodeSet) -> NodeSet {
        let free = peers.minus(self.awaited);
        self.awaited = self.awaited.union(free);
        free
    }

    /// Notes a peer's answer; `false` if it was not asked.
    pub(crate) fn came(&mut self, from: NodeId) -> bool {
        let awaited = self.awaited.contains(from);
        self.awaited = self.awaited.without(from);
        awaited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId::ZERO;

    #[test]
    fn who_owes_an_answer_is_not_asked_again() {
        let (mut looks, peers) = (Looks::default(), NodeSet::first(2));
        assert_eq!(looks.ask(peers), peers);
        assert!(looks.came(PEER));
        assert_eq!(looks.ask(peers), NodeSet::only(PEER));
    }

    #[test]
    fn an_answer_that_no_one_asked_for_is_none() {
        let mut looks = Looks::default();
        assert!(!looks.came(PEER));
        looks.ask(NodeSet::only(PEER));
        assert!(looks.came(PEER) && !looks.came(PEER));
    }

    #[test]
    fn a_question_repeated_before_its_answer_is_one_question() {
        let mut looks = Looks::default();
        assert!(looks.asked(PEER) && !looks.asked(PEER));
        looks.answered(PEER);
        assert!(looks.asked(PEER));
    }
}
