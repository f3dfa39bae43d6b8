//! How a node gets rid of a page: of its copy, of its part as the page's home, or of both.

use giantvm_core::{NodeSet, PageIndex};

use super::home::{Queue, Serving};
use super::message::Message;
use super::table::{Sharing, Slot};
use super::{Active, Directory, Out};
use crate::mutants::mutant;
use crate::protocol::{Access, Attach, Phase};

impl Directory {
    /// Begins to be rid of a page, if this node has any part in it. Whether it has.
    pub(super) fn press_first(&mut self, page: PageIndex, out: &mut Out) -> bool {
        if self.is_asking_back(page)
            && let Some(home) = self.home(page).filter(|&home| home != self.local)
            && !self.active.contains_key(&page)
        {
            self.send(home, Message::Reclaim { page }, Attach::Nothing, out);
            return true;
        }
        self.press(page, out)
    }

    /// Whether this node is leaving and wants its part as the home of `page` back, to hand it over.
    pub(super) fn is_asking_back(&self, page: PageIndex) -> bool {
        self.exit.phase == Phase::Recalling && self.is_birth_home(page)
    }

    /// Does the next thing by which this node gets rid of a page, or of its part as the page's home.
    /// Whether something is still to be done.
    pub(super) fn press(&mut self, page: PageIndex, out: &mut Out) -> bool {
        let serving = self.active.get(&page).map(|active| active.serving);
        if self.exit.phase == Phase::Recalling {
            let moves = matches!(serving, Some(Serving::Move(_) | Serving::Recall));
            return self.is_birth_home(page) && (moves || self.home(page) != Some(self.local));
        }
        if serving.is_some() || self.pending.contains_key(&page) {
            return true;
        }
        if let Some(slot) = self.homed(page) {
            let sharing = self.entries.get(slot).sharing;
            if sharing == Sharing::Untouched || self.is_birth_home(page) {
                return false;
            }
            if self.may_give_back(sharing) {
                self.give_back(page, slot, Queue::new(), out);
            } else {
                // Then it is the only holder.
                self.request(page, Access::Write, out);
            }
            return true;
        }
        let leaves = self.exit.phase == Phase::Draining && self.copies.get(page).rights.is_some();
        if leaves {
            self.evict(page, out);
        }
        leaves
    }

    /// Whether this home can give its part back while the page is shared like this: to one holder
    /// the home may go, but not to one that is home to nothing any more; who was only asked for it
    /// keeps the page.
    pub(super) fn may_give_back(&self, sharing: Sharing) -> bool {
        match sharing {
            Sharing::Exclusive { owner } => {
                let may_go = self.exit.phase == Phase::Draining && !self.births.has_heir(owner);
                owner == self.local || may_go
            }
            Sharing::Shared { sharers, .. } => sharers == NodeSet::only(self.local),
            Sharing::Untouched => false,
        }
    }

    /// Offers a page to its birth home, with those who wait for it. A node that leaves wants to be
    /// rid of its copy, too.
    pub(super) fn give_back(&mut self, page: PageIndex, slot: Slot, queue: Queue, out: &mut Out) {
        if self.exit.phase == Phase::Draining && self.copies.get(page).rights.is_some() {
            self.leaving.insert(page);
        }
        let (serving, before) = self.offer(page, slot, out);
        let active = Active {
            serving,
            before,
            queue,
            calm: false,
        };
        self.active.insert(page, active);
    }

    /// Does what is due once a transaction of a page is over that is to be given back: before any
    /// other is served, as there might be no end of them. Gives the queue back if it did nothing.
    pub(super) fn press_between(
        &mut self,
        page: PageIndex,
        slot: Slot,
        queue: Queue,
        out: &mut Out,
    ) -> Option<Queue> {
        let asked = self.pressed.contains(&page) && !self.is_birth_home(page);
        if !asked || self.exit.phase == Phase::Recalling {
            return Some(queue);
        }
        let sharing = self.entries.get(slot).sharing;
        if self.may_give_back(sharing) {
            self.give_back(page, slot, queue, out);
            return None;
        }
        if !self.pending.contains_key(&page) {
            self.request(page, Access::Write, out);
        }
        Some(queue)
    }

    /// Notes that a page has come to a node that is leaving, after it was looked at perhaps.
    pub(super) fn note_arrival(&mut self, page: PageIndex) {
        let missed = mutant!(HomeForgetsLatePages);
        if self.exit.phase == Phase::Draining && !missed && self.pressed.insert(page) {
            self.exit.told += 1;
        }
    }
}
