//! What a home can tell about a page: for tests, reports and debuggers.

use giantvm_core::{NodeSet, PageIndex};

use super::home::Serving;
use super::{Directory, Sharing};
use crate::protocol::Rights;

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
    /// The names of a page's states here: of the copy, and of the entry where this is its home.
    #[must_use]
    pub fn state_names(&self, page: PageIndex) -> Vec<&'static str> {
        let mut names = vec![self.copy_state(page)];
        if let Some(entry) = self.entry(page) {
            let serving = self.active.get(&page).map(|active| active.serving);
            names.push(match (serving, entry.sharing) {
                (None, Sharing::Untouched) => "home: Untouched",
                (None, Sharing::Shared { .. }) => "home: Shared",
                (None, Sharing::Exclusive { .. }) => "home: Exclusive",
                (Some(Serving::Access(_)), _) => "home: granting",
                (Some(Serving::Leave { take: false, .. }), _) => "home: releasing",
                (Some(Serving::Leave { take: true, .. }), _) => "home: taking over",
                (Some(Serving::Rest), _) => "home: resting",
            });
        }
        names
    }

    /// The name of a copy's state, as it stands in errors.
    pub(super) fn copy_state(&self, page: PageIndex) -> &'static str {
        let waiting = self.pending.contains_key(&page);
        let leaving = self.leaving.contains(&page);
        match (self.copies.get(page).rights, waiting, leaving) {
            (None, false, _) => "Invalid",
            (None, true, _) => "Invalid+",
            (Some(Rights::Read), false, false) => "Read",
            (Some(Rights::Read), true, false) => "Read+",
            (Some(Rights::Write), _, false) => "Write",
            (Some(Rights::Read), false, true) => "Read, leaving",
            (Some(Rights::Read), true, true) => "Read+, leaving",
            (Some(Rights::Write), _, true) => "Write, leaving",
        }
    }

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
