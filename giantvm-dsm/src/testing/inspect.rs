//! What the simulation asks a protocol besides the trait.

mod directory;
mod ivy;
mod lease;

use giantvm_core::{NodeId, NodeSet, PageIndex};

use crate::protocol::{CoherenceProtocol, HomeMap, Rights};

/// Who holds a page, as its home knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// The nodes that hold the page, or will after the transaction under way.
    pub holders: NodeSet,
    /// The one of them that may write.
    pub writer: Option<NodeId>,
    /// All nodes that may hold the page right now.
    pub possible: NodeSet,
    /// Whether no transaction of the page is under way, so that `holders` is exact.
    pub settled: bool,
}

/// A protocol whose books the simulation can compare with the real mappings.
pub trait Inspect: CoherenceProtocol {
    /// Who holds `page`, if this node is the one that knows. A protocol without such a node keeps
    /// the default.
    fn holding(&self, page: PageIndex) -> Option<Holding> {
        let _ = page;
        None
    }

    /// The version of this node's copy of `page`, if the protocol numbers versions: copies for
    /// reading with equal numbers have equal bytes, on whatever nodes and at whatever times.
    fn version(&self, page: PageIndex) -> Option<u64> {
        let _ = page;
        None
    }

    /// Whether correct nodes have to take `from` at its word in `message`, so that the page is no
    /// longer coherent if it lies. By default that is so of everything.
    fn believes(from: NodeId, message: &Self::Message, homes: &HomeMap) -> bool {
        let _ = (from, message, homes);
        true
    }

    /// The names of the page's states on this node, one for each role that it has: what the
    /// [transition table](super::transitions) is made of.
    fn states(&self, page: PageIndex) -> Vec<&'static str> {
        vec![match self.rights(page) {
            None => "none",
            Some(Rights::Read) => "read",
            Some(Rights::Write) => "write",
        }]
    }

    /// The name of a message, for the same table.
    fn name(message: &Self::Message) -> &'static str;
}
