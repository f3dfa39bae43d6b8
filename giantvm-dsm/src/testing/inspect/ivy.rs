//! Ivy's books.

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};

use super::{Holding, Inspect};
use crate::protocol::ivy::{Message, Owned};
use crate::protocol::{HomeMap, Ivy, Rights};

impl Inspect for Ivy {
    fn believes(_: NodeId, message: &Self::Message, _: &HomeMap) -> bool {
        // Who gives a page is believed about it, and who asks about what it does with it.
        matches!(message, Message::Request { .. } | Message::Token { .. })
    }

    fn version(&self, page: PageIndex) -> Option<u64> {
        self.copy_version(page).map(Version::get)
    }

    fn states(&self, page: PageIndex) -> Vec<&'static str> {
        vec![self.state_name(page), self.queue_name(page)]
    }

    fn name(message: &Self::Message) -> &'static str {
        Message::name(message)
    }

    /// Only the owner knows, and of sharers only who may hold a copy.
    fn holding(&self, page: PageIndex) -> Option<Holding> {
        let Owned { rights, sharers } = self.owned(page)?;
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
