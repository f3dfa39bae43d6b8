//! The lease protocol's books.

use giantvm_core::{NodeId, PageIndex};

use super::Inspect;
use crate::protocol::lease::Message;
use crate::protocol::{HomeMap, Lease, PageMessage};

/// A home does not know who holds leases, so there is nothing to compare.
impl Inspect for Lease {
    fn believes(from: NodeId, message: &Self::Message, homes: &HomeMap) -> bool {
        let requests = matches!(message, Message::Request { .. });
        homes.home(message.page()) == Some(from) || requests
    }

    fn states(&self, page: PageIndex) -> Vec<&'static str> {
        self.state_names(page)
    }

    fn name(message: &Self::Message) -> &'static str {
        message.name()
    }
}
