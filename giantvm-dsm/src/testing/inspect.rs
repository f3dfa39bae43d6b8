//! What the simulation asks a protocol besides the trait.

use giantvm_core::{NodeId, NodeSet, PageIndex};

use crate::protocol::directory::{self, Sharing};
use crate::protocol::lease::{self, Lease};
use crate::protocol::{CoherenceProtocol, Directory, HomeMap, Ivy, PageMessage, Rights, ivy};

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

impl Inspect for Directory {
    fn believes(from: NodeId, message: &Self::Message, homes: &HomeMap) -> bool {
        // A home is believed about its pages, and who requests a page about what it does with it.
        homes.home(message.page()) == Some(from)
            || matches!(message, directory::Message::Request { .. })
    }

    fn states(&self, page: PageIndex) -> Vec<&'static str> {
        self.state_names(page)
    }

    fn name(message: &Self::Message) -> &'static str {
        message.name()
    }

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

impl Inspect for Ivy {
    fn believes(_: NodeId, message: &Self::Message, _: &HomeMap) -> bool {
        // Who gives a page is believed about it, and who asks about what it does with it.
        matches!(
            message,
            ivy::Message::Request { .. } | ivy::Message::Token { .. }
        )
    }

    fn states(&self, page: PageIndex) -> Vec<&'static str> {
        vec![self.state_name(page), self.queue_name(page)]
    }

    fn name(message: &Self::Message) -> &'static str {
        ivy::Message::name(message)
    }

    /// Only the owner knows, and of sharers only who may hold a copy.
    fn holding(&self, page: PageIndex) -> Option<Holding> {
        let ivy::Owned { rights, sharers } = self.owned(page)?;
        let own = rights.map_or(NodeSet::EMPTY, |_| NodeSet::only(self.local()));
        let holders = sharers.union(own);
        Some(Holding {
            holders,
            writer: (rights == Some(Rights::Write)).then(|| self.local()),
            possible: holders,
            settled: sharers.is_empty(),
        })
    }
}

/// A home does not know who holds leases, so there is nothing to compare.
impl Inspect for Lease {
    fn believes(from: NodeId, message: &Self::Message, homes: &HomeMap) -> bool {
        let requests = matches!(message, lease::Message::Request { .. });
        homes.home(message.page()) == Some(from) || requests
    }

    fn states(&self, page: PageIndex) -> Vec<&'static str> {
        self.state_names(page)
    }

    fn name(message: &Self::Message) -> &'static str {
        message.name()
    }
}
