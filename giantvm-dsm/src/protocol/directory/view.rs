//! What a home can tell about a page: for tests, reports and debuggers.

use giantvm_core::{NodeSet, PageIndex};

use super::{Directory, Sharing};

/// The directory's entry of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryView {
    /// Who holds the page, or will when the running transaction is done.
    pub sharing: Sharing,
    /// Whether a transaction runs.
    pub busy: bool,
    /// All nodes that may hold a copy right now: the holders before and after the transaction.
    pub possible: NodeSet,
}

impl Directory {
    /// The directory's entry of `page`; `None` if this node is not its home.
    #[must_use]
    pub fn entry(&self, page: PageIndex) -> Option<EntryView> {
        let entry = self.entries.get(self.entries.slot(page)?);
        let before = self.active.get(&page).map(|active| active.before);
        let holders = entry.sharing.holders();
        Some(EntryView {
            sharing: entry.sharing,
            busy: entry.busy,
            possible: holders.union(before.unwrap_or_default()),
        })
    }
}
