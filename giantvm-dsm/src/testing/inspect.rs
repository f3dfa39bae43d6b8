//! What the simulation asks a protocol besides the trait.

use giantvm_core::{NodeId, NodeSet, PageIndex};

use crate::protocol::{CoherenceProtocol, Directory, Lease, directory::Sharing};

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
}

impl Inspect for Directory {
    fn holding(&self, page: PageIndex) -> Option<Holding> {
        let entry = self.entry(page)?;
        let writer = match entry.sharing {
            Sharing::Exclusive { owner } => Some(owner),
            Sharing::Untouched | Sharing::Shared { .. } => None,
        };
        Some(Holding {
            holders: entry.sharing.holders(),
            writer,
            possible: entry.possible,
            settled: !entry.busy,
        })
    }
}

/// A home does not know who holds leases.
impl Inspect for Lease {}
