//! The directory's books.

use giantvm_core::{NodeId, PageIndex, Version};

use super::{Holding, Inspect};
use crate::protocol::directory::{Message, Sharing};
use crate::protocol::{Directory, HomeMap, PageMessage};

impl Inspect for Directory {
    fn believes(from: NodeId, message: &Self::Message, homes: &HomeMap) -> bool {
        // A home is believed about its pages, and who requests a page about what it does with it.
        homes.home(message.page()) == Some(from) || matches!(message, Message::Request { .. })
    }

    fn version(&self, page: PageIndex) -> Option<u64> {
        self.copy_version(page).map(Version::get)
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
