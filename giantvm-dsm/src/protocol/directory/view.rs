//! What a home can tell about a page: for tests, reports and debuggers.

use giantvm_core::{NodeSet, PageIndex, Version};

use super::home::{Active, Serving};
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
        let serving = self.active.get(&page).map(|active| active.serving);
        let sharing = self.homed(page).map(|slot| self.entries.get(slot).sharing);
        let born_here = self.is_birth_home(page);
        names.extend(match (serving, sharing) {
            (None, None) if born_here => Some("home: moved"),
            (None, None) => None,
            (None, Some(Sharing::Untouched)) => Some("home: Untouched"),
            (None, Some(Sharing::Shared { .. })) => Some("home: Shared"),
            (None, Some(Sharing::Exclusive { .. })) => Some("home: Exclusive"),
            (Some(Serving::Access(_)), _) => Some("home: granting"),
            (Some(Serving::Leave { take: false, .. }), _) => Some("home: releasing"),
            (Some(Serving::Leave { take: true, .. }), _) => Some("home: taking over"),
            (Some(Serving::Rest), _) => Some("home: resting"),
            (Some(Serving::Move(_)), _) => Some("home: moving"),
            (Some(Serving::Yield), _) => Some("home: yielding"),
            (Some(Serving::Recall), _) => Some("home: recalling"),
        });
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

    /// The version of this node's copy of `page`, if it has one.
    #[must_use]
    pub fn copy_version(&self, page: PageIndex) -> Option<Version> {
        let copy = self.copies.get(page);
        copy.rights.map(|_| copy.version)
    }

    /// The directory's entry of `page`; `None` if this node is not its home, or is making another
    /// one it.
    #[must_use]
    pub fn entry(&self, page: PageIndex) -> Option<EntryView> {
        let moving = |active: &Active| matches!(active.serving, Serving::Move(_));
        if self.active.get(&page).is_some_and(moving) {
            return None;
        }
        let entry = self.entries.get(self.homed(page)?);
        let before = self.active.get(&page).map(|active| active.before);
        let holders = entry.sharing.holders();
        Some(EntryView {
            sharing: entry.sharing,
            busy: entry.busy,
            possible: holders.union(before.unwrap_or_default()),
        })
    }
}
