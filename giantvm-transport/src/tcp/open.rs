//! To whom frames can be sent.

use giantvm_core::{NodeId, NodeSet};

use crate::sync::{AtomicU64, Ordering};

/// The peers whose links take frames. Links only ever end.
#[derive(Debug)]
pub(super) struct OpenLinks {
    local: NodeId,
    /// Their bits, and this node's own for as long as its side is not closed as a whole.
    bits: AtomicU64,
}

impl OpenLinks {
    pub(super) fn new(local: NodeId, peers: NodeSet) -> Self {
        Self {
            local,
            bits: AtomicU64::new(peers.with(local).bits()),
        }
    }

    pub(super) fn peers(&self) -> NodeSet {
        self.bits().without(self.local)
    }

    pub(super) fn is_closed(&self) -> bool {
        !self.bits().contains(self.local)
    }

    /// Takes no more frames for the peer `node`.
    pub(super) fn shut(&self, node: NodeId) {
        let others = NodeSet::from_bits(u64::MAX).without(node);
        self.bits.fetch_and(others.bits(), Ordering::AcqRel);
    }

    /// Takes no more frames at all. True for the one call that did it.
    pub(super) fn close(&self) -> bool {
        let before = self.bits.swap(0, Ordering::AcqRel);
        NodeSet::from_bits(before).contains(self.local)
    }

    fn bits(&self) -> NodeSet {
        NodeSet::from_bits(self.bits.load(Ordering::Acquire))
    }
}
