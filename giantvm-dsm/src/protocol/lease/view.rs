//! What a node can tell about a page: for tests, reports and debuggers.

use giantvm_core::PageIndex;

use super::Lease;
use super::table::{Holder, State};

impl Lease {
    /// The names of a page's states here: of the copy, and of the home's books where this is its
    /// home.
    #[must_use]
    pub fn state_names(&self, page: PageIndex) -> Vec<&'static str> {
        let mut names = vec![self.copy_state(page)];
        if self.homes.home(page) == Some(self.local) {
            let order = self.active.get(&page).map(|active| active.order);
            names.push(match (order, self.table.get(page).holder) {
                (None, Holder::Untouched) => "home: Untouched",
                (None, Holder::Shared) => "home: Shared",
                (None, Holder::Owner(_)) => "home: Owned",
                (Some(None), _) => "home: resting",
                (Some(Some(_)), _) => "home: recalling",
            });
        }
        names
    }

    /// The name of a copy's state, as it stands in errors.
    pub(super) fn copy_state(&self, page: PageIndex) -> &'static str {
        let waiting = self.pending.contains_key(&page);
        let recalled = self.recalled.contains_key(&page);
        match (self.table.get(page).state, waiting) {
            (State::Invalid, false) => "Invalid",
            (State::Invalid, true) => "Invalid+",
            (State::Retained, false) => "Retained",
            (State::Retained, true) => "Retained+",
            (State::Leased, false) => "Leased",
            (State::Leased, true) => "Leased+",
            (State::Source, _) => "Source",
            (State::Owned, _) if recalled => "Owned, recalled",
            (State::Owned, _) => "Owned",
        }
    }
}
