//! Giving a copy up because its node has no room for it.
//!
//! The home decides when, like for every other transaction, so that no page is given up and asked
//! for at the same time. A node that asked to be rid of a copy keeps serving it until the home says
//! so. If the copy goes for another reason before, the home finds that the node has none when the
//! wish's turn comes: a node's wish reaches the home before any later request of it.

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};

use super::home::{Serving, Want};
use super::message::{Message, Transaction};
use super::plan::leave;
use super::requester::after;
use super::table::{Copied, Entry, Slot};
use super::{Directory, Out};
use crate::mutants::mutant;
use crate::protocol::{Attach, Command, FrameFate, Rights, Violation};

impl Directory {
    /// This node would rather not keep its copy.
    pub(super) fn evict(&mut self, page: PageIndex, out: &mut Out) {
        let held = self.copies.get(page).rights.is_some();
        let Some(home) = self.home(page).filter(|_| held && !self.halted) else {
            return;
        };
        if !self.pending.contains_key(&page) && self.leaving.insert(page) {
            self.send(home, Message::Evict { page }, Attach::Nothing, out);
        }
    }

    /// A node would rather not keep its copy of a page homed here.
    pub(super) fn evict_asked(
        &mut self,
        from: NodeId,
        page: PageIndex,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Evict";
        let Some(slot) = self.homed(page) else {
            // The copy has gone with the home, or before it went.
            return self.check_may_stray(from, page, message).map(|_| ());
        };
        let refusal = Violation::Unexpected {
            page,
            message,
            state: self.entries.get(slot).sharing.name(),
        };
        self.enqueue(from, page, Want::Evict, refusal, slot, out)
    }

    /// Begins to take a copy from a node; `None` if that is done at once or cannot be done.
    pub(super) fn release(
        &mut self,
        page: PageIndex,
        slot: Slot,
        leaver: NodeId,
        out: &mut Out,
    ) -> Option<(Serving, NodeSet)> {
        let local = self.local;
        let entry = self.entries.get(slot);
        let plan = leave(entry.sharing, leaver, local);
        if leaver == local && self.may_offer(page, entry.sharing) {
            return Some(self.offer(page, slot, out));
        }
        if leaver == local {
            self.leaving.remove(&page);
        }
        let plan = plan?;
        let transaction = entry.transaction.next();
        let busy = leaver != local;
        self.entries.set(
            slot,
            Entry {
                sharing: plan.after,
                transaction,
                busy,
                ..entry
            },
        );
        if !busy {
            self.discard(page, out);
            return None;
        }
        let (version, take) = (self.copies.get(page).version, plan.take);
        let order = Message::Release {
            page,
            transaction,
            version,
            take,
        };
        self.send(leaver, order, Attach::Nothing, out);
        let serving = Serving::Leave { leaver, take };
        Some((serving, entry.sharing.holders()))
    }

    /// The home wants our copy gone, as we do.
    pub(super) fn released(
        &mut self,
        from: NodeId,
        page: PageIndex,
        (transaction, version): (Transaction, Version),
        take: bool,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Release";
        self.check_home(from, page, message)?;
        let copy = self.copies.get(page);
        if copy.rights.is_none() || !self.leaving.contains(&page) {
            return Err(self.unexpected(page, message));
        }
        // A writer's copy is the only one: it is taken over, never just dropped.
        if !take && copy.rights == Some(Rights::Write) {
            return Err(self.unexpected(page, message));
        }
        if copy.version != version {
            return Err(Violation::Stale {
                page,
                message,
                got: version.get(),
                expected: copy.version.get(),
            });
        }
        if take {
            self.give_up(page, FrameFate::Keep, out);
            let returned = Message::Returned {
                page,
                transaction,
                version,
            };
            self.send(from, returned, Attach::Page, out);
        } else {
            self.discard(page, out);
            let done = Message::Done { page, transaction };
            self.send(from, done, Attach::Nothing, out);
        }
        Ok(())
    }

    /// The only copy comes home.
    pub(super) fn returned(
        &mut self,
        from: NodeId,
        page: PageIndex,
        (transaction, version): (Transaction, Version),
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Returned";
        let expected = Serving::Leave {
            leaver: from,
            take: true,
        };
        let slot = self.check_end(page, transaction, message, |serving| serving == expected)?;
        let local = self.local;
        let current = self.copies.get(page).version;
        if version != current {
            return Err(Violation::Stale {
                page,
                message,
                got: version.get(),
                expected: current.get(),
            });
        }
        let rights = Rights::Write;
        if mutant!(DropsTheReturnedPage) {
            out.push(Command::MapZero { page, rights });
        } else {
            out.push(Command::Store { page });
            out.push(Command::Map { page, rights });
        }
        // What comes may have been read elsewhere under its number; what is written here is new.
        let (rights, version) = (Some(rights), after(version));
        self.copies.set(page, Copied { rights, version });
        // What local threads have asked for meanwhile is here now.
        if self.pending.remove(&page).is_some() {
            out.push(Command::Wake { page });
            if let Some(active) = self.active.get_mut(&page) {
                let asked = |&(node, want): &(NodeId, Want)| node != local || want == Want::Evict;
                active.queue.retain(asked);
            }
        }
        self.next(page, slot, out);
        Ok(())
    }

    /// Whether this home is taking over a page that its own threads ask for.
    pub(super) fn is_taking(&self, page: PageIndex, requester: NodeId) -> bool {
        let taking = |serving| matches!(serving, Serving::Leave { take: true, .. });
        requester == self.local
            && self
                .active
                .get(&page)
                .is_some_and(|active| taking(active.serving))
    }
}
