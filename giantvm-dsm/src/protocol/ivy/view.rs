//! What a node can tell about a page: for tests, reports and debuggers.

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};

use super::Ivy;
use super::message::Want;
use crate::protocol::Rights;

/// What the owner of a page knows about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// What the owner itself may do with the page; `None` if no node ever touched it.
    pub rights: Option<Rights>,
    /// The other nodes that may hold a copy: those among them that gave theirs up for want of room
    /// have told no one.
    pub sharers: NodeSet,
}

impl Ivy {
    /// This node.
    #[must_use]
    pub const fn local(&self) -> NodeId {
        self.local
    }

    /// The version of this node's copy of `page`, if it has one.
    #[must_use]
    pub fn copy_version(&self, page: PageIndex) -> Option<Version> {
        let part = self.table.get(page);
        part.rights.map(|_| part.version)
    }

    /// What this node knows of a page that it owns; `None` if it does not, or is about to write it
    /// and waits for sharers to be gone.
    #[must_use]
    pub fn owned(&self, page: PageIndex) -> Option<Owned> {
        let part = self.table.get(page);
        let settled = part.token && !self.pending.contains_key(&page);
        settled.then_some(Owned {
            rights: part.rights,
            sharers: part.sharers,
        })
    }

    /// The name of the page's state, as it stands in errors and tables.
    #[must_use]
    pub fn state_name(&self, page: PageIndex) -> &'static str {
        let part = self.table.get(page);
        let want = self.pending.get(&page).map(|pending| pending.want);
        match (part.token, part.rights, want) {
            (false, None, None) => "Invalid",
            (false, None, Some(Want::Read)) => "Invalid+ read",
            (false, None, Some(_)) => "Invalid+ write",
            (false, Some(_), None) => "Shared",
            (false, Some(_), Some(_)) => "Shared+",
            (true, _, Some(_)) => "Owner+",
            (true, None, None) => "Untouched",
            (true, Some(Rights::Read), None) => "Owner, reads",
            (true, Some(Rights::Write), None) => "Owner, writes",
        }
    }

    /// Whether the page's requests end here, or go on to another node: the name of that.
    #[must_use]
    pub fn queue_name(&self, page: PageIndex) -> &'static str {
        if self.table.get(page).father == self.local {
            "requests end here"
        } else {
            "requests go on"
        }
    }
}
