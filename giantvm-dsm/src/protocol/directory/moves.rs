//! The home moves to the node that writes the page most.
//!
//! Every move is the *birth home*'s to make: the node that the map of homes names. While another
//! node is the home, the birth home tells who asks it where to go instead. The home moves only while
//! one node holds the page and no transaction runs, to that node, or from that node to the birth
//! home: so whoever has a copy knows the home, and there are no books to be moved but one name.

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};

use super::home::{Active, Queue, Serving, Want};
use super::lead::Lead;
use super::message::{Message, Transaction};
use super::table::{Copied, Entry, Sharing, Slot};
use super::{Directory, Out};
use crate::mutants::mutant;
use crate::protocol::checks::stale;
use crate::protocol::{Attach, Phase, Rights, Violation};

/// What the last home says of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    pub transaction: Transaction,
    pub version: Version,
    pub owner: NodeId,
    pub rights: Rights,
}

impl Directory {
    /// The page's home as far as this node was told.
    pub(super) fn home(&self, page: PageIndex) -> Option<NodeId> {
        let told = self.told_home(page)?;
        if self.births.is_retired(told) {
            return self.births.home(page);
        }
        Some(told)
    }

    /// Whom this node was told to be the page's home, which may have left.
    pub(super) fn told_home(&self, page: PageIndex) -> Option<NodeId> {
        let mapped = self.births.mapped(page)?;
        Some(self.copies.home(page, mapped))
    }

    /// Where the entry of `page` is; `None` if this node is not its home.
    pub(super) fn homed(&self, page: PageIndex) -> Option<Slot> {
        let here = self.home(page) == Some(self.local);
        self.entries.slot(page).filter(|_| here)
    }

    pub(super) fn set_home(&mut self, page: PageIndex, home: NodeId) {
        if let Some(mapped) = self.births.mapped(page) {
            self.copies.set_home(page, mapped, home);
        }
    }

    pub(super) fn is_birth_home(&self, page: PageIndex) -> bool {
        self.births.home(page) == Some(self.local)
    }

    /// Begins a move if the page's only holder should be its home; nothing else waits for the page.
    pub(super) fn settle(&mut self, page: PageIndex, slot: Slot, out: &mut Out) {
        if self.pressed.contains(&page) {
            self.press(page, out);
            return;
        }
        let entry = self.entries.get(slot);
        let (Some(after), Sharing::Exclusive { owner }) = (self.moves, entry.sharing) else {
            return;
        };
        let leaves = self.exit.phase != Phase::Here || self.births.has_heir(owner);
        if owner == self.local || leaves || !entry.lead.is(after) {
            return;
        }
        if self.is_birth_home(page) {
            self.begin_move(page, slot, owner, Queue::new(), out);
        } else {
            let (serving, before) = self.offer(page, slot, out);
            let queue = Queue::new();
            let active = Active {
                serving,
                before,
                queue,
                calm: false,
            };
            self.active.insert(page, active);
        }
    }

    /// Whether this home may be rid of the only copy, which is its own, with its part as the home.
    pub(super) fn may_offer(&self, page: PageIndex, sharing: Sharing) -> bool {
        let only = sharing.holders() == NodeSet::only(self.local);
        only && self.moves.is_some() && !self.is_birth_home(page)
    }

    /// Tells the birth home that another node should be the home, and serves no one until it
    /// answers.
    pub(super) fn offer(
        &mut self,
        page: PageIndex,
        slot: Slot,
        out: &mut Out,
    ) -> (Serving, NodeSet) {
        let entry = self.entries.get(slot);
        self.entries.set(
            slot,
            Entry {
                busy: true,
                ..entry
            },
        );
        if let Some(birth) = self.births.home(page) {
            self.send(birth, Message::Yield { page }, Attach::Nothing, out);
        }
        (Serving::Yield, entry.sharing.holders())
    }

    /// Makes the only holder the home.
    fn begin_move(&mut self, page: PageIndex, slot: Slot, to: NodeId, queue: Queue, out: &mut Out) {
        let entry = self.entries.get(slot);
        let transaction = entry.transaction.next();
        let (busy, lead) = (true, Lead::default());
        let entry_now = Entry {
            transaction,
            busy,
            lead,
            ..entry
        };
        self.entries.set(slot, entry_now);
        let active = Active {
            serving: Serving::Move(to),
            before: entry.sharing.holders(),
            queue,
            calm: false,
        };
        self.active.insert(page, active);
        let version = self.copies.get(page).version;
        let order = Message::Move {
            page,
            transaction,
            version,
        };
        self.send(to, order, Attach::Nothing, out);
    }

    /// This node is the home now.
    pub(super) fn become_home(
        &mut self,
        from: NodeId,
        page: PageIndex,
        (transaction, version): (Transaction, Version),
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Move";
        if self.births.home(page) != Some(from) {
            return Err(Violation::WrongNode { page, message });
        }
        let copy = self.copies.get(page);
        let slot = self.entries.slot(page);
        let slot = slot.filter(|_| self.home(page) != Some(self.local));
        let may = self.moves.is_some() && copy.rights == Some(Rights::Write);
        let Some(slot) = slot.filter(|_| may) else {
            return Err(self.unexpected(page, message));
        };
        if version != copy.version {
            return Err(stale(page, message, version, copy.version));
        }
        let owner = self.local;
        self.set_home(page, owner);
        // The last home forgets the wish too, and the copy is at home now.
        self.leaving.remove(&page);
        let entry = Entry {
            sharing: Sharing::Exclusive { owner },
            transaction,
            ..Entry::default()
        };
        self.entries.set(slot, entry);
        let done = Message::Done { page, transaction };
        self.send(from, done, Attach::Nothing, out);
        Ok(())
    }

    /// The new home is in place: whoever has asked here meanwhile is sent there.
    pub(super) fn moved(&mut self, page: PageIndex, slot: Slot, to: NodeId, out: &mut Out) {
        let active = self.active.remove(&page);
        if !mutant!(HomeIsKept) {
            self.set_home(page, to);
            self.entries.set(slot, Entry::default());
        }
        self.send_away(page, active, to, None, out);
        if self.is_asking_back(page) {
            self.pressed.insert(page);
            self.send(to, Message::Reclaim { page }, Attach::Nothing, out);
        }
    }

    /// The birth home wants the page back, as it is leaving.
    pub(super) fn reclaimed(
        &mut self,
        from: NodeId,
        page: PageIndex,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Reclaim";
        if self.births.home(page) != Some(from) || from == self.local {
            return Err(Violation::WrongNode { page, message });
        }
        if self.homed(page).is_none() {
            // It is on its way there.
            return self.check_may_stray(from, page, message).map(|_| ());
        }
        self.pressed.insert(page);
        self.hurry_page(page, out);
        self.press(page, out);
        Ok(())
    }

    /// The home wants to be it no longer.
    pub(super) fn yielded(
        &mut self,
        from: NodeId,
        page: PageIndex,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Yield";
        self.check_moved_to(from, page, message)?;
        if self.active.contains_key(&page) {
            return Err(self.unexpected(page, message));
        }
        let active = Active {
            serving: Serving::Recall,
            before: NodeSet::EMPTY,
            queue: Queue::new(),
            calm: false,
        };
        self.active.insert(page, active);
        self.send(from, Message::Recall { page }, Attach::Nothing, out);
        Ok(())
    }

    /// Checks that this is the birth home of a page whose home is `from`.
    fn check_moved_to(
        &self,
        from: NodeId,
        page: PageIndex,
        message: &'static str,
    ) -> Result<(), Violation> {
        if self.is_birth_home(page) && self.home(page) == Some(from) && from != self.local {
            Ok(())
        } else {
            Err(Violation::WrongNode { page, message })
        }
    }

    /// The birth home lets no one else ask here any more: this node is the home no longer.
    pub(super) fn recalled(
        &mut self,
        from: NodeId,
        page: PageIndex,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Recall";
        if self.births.home(page) != Some(from) {
            return Err(Violation::WrongNode { page, message });
        }
        let offered = |active: &Active| active.serving == Serving::Yield;
        let slot = self.homed(page);
        let offered = self.active.get(&page).is_some_and(offered);
        let (Some(slot), true) = (slot, offered) else {
            return Err(self.unexpected(page, message));
        };
        let entry = self.entries.get(slot);
        let (owner, rights) = match entry.sharing {
            Sharing::Exclusive { owner } if mutant!(HomeIsPassedWrong) => (owner, Rights::Read),
            Sharing::Exclusive { owner } => (owner, Rights::Write),
            Sharing::Shared { owner, .. } => (owner, Rights::Read),
            Sharing::Untouched => return Err(self.unexpected(page, message)),
        };
        let active = self.active.remove(&page);
        if self.exit.phase != Phase::Draining {
            self.pressed.remove(&page);
        }
        self.set_home(page, from);
        let transaction = entry.transaction;
        let left = Entry {
            left: true,
            ..Entry::default()
        };
        self.entries.set(slot, left);
        let pass = Message::Pass {
            page,
            transaction,
            version: self.copies.get(page).version,
            owner,
            rights,
        };
        self.send(from, pass, Attach::Nothing, out);
        if self.leaving.contains(&page) {
            self.send(from, Message::Evict { page }, Attach::Nothing, out);
        }
        // The birth home asks itself once more.
        self.send_away(page, active, from, Some(from), out);
        Ok(())
    }

    /// The page has come back, or goes on from here to its only holder.
    pub(super) fn passed(
        &mut self,
        from: NodeId,
        page: PageIndex,
        passed: Passed,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Pass";
        self.check_moved_to(from, page, message)?;
        let recalled = |active: &Active| active.serving == Serving::Recall;
        let recalled = self.active.get(&page).is_some_and(recalled);
        let Passed {
            transaction,
            version,
            owner,
            rights,
        } = passed;
        let copy = self.copies.get(page);
        let here = copy.rights == Some(Rights::Write);
        let possible = if owner == self.local {
            here && rights == Rights::Write
        } else {
            copy.rights.is_none()
                && self.nodes.contains(owner)
                && (rights == Rights::Write || owner == from)
        };
        let slot = self.entries.slot(page);
        let Some(slot) = slot.filter(|_| recalled && possible) else {
            return Err(self.unexpected(page, message));
        };
        if version < copy.version || (here && version != copy.version) {
            return Err(stale(page, message, version, copy.version));
        }
        let local = self.local;
        self.set_home(page, local);
        self.copies.set(page, Copied { version, ..copy });
        // The last home has forgotten what this node told it.
        self.leaving.remove(&page);
        let sharing = match rights {
            Rights::Write => Sharing::Exclusive { owner },
            Rights::Read => Sharing::Shared {
                owner,
                sharers: NodeSet::only(owner),
            },
        };
        let entry = Entry {
            sharing,
            transaction,
            busy: true,
            ..Entry::default()
        };
        self.entries.set(slot, entry);
        let active = self.active.remove(&page);
        let mut queue = active.map(|active| active.queue).unwrap_or_default();
        if mutant!(HomeForgetsWhoWaits) {
            queue.clear();
        }
        // No correct node asks for what it has; now it can be told.
        queue.retain(|&(node, _)| node != owner);
        if let Some(pending) = self.pending.get_mut(&page) {
            let access = pending.restart();
            queue.push_back((local, Want::Access(access)));
        }
        if owner == local || owner == from {
            self.serve(page, slot, queue, out);
        } else {
            self.begin_move(page, slot, owner, queue, out);
        }
        Ok(())
    }
}
