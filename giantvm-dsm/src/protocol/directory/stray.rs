//! What is told to a node that is not the home, or no longer: it says where to ask.
//!
//! A node asks the one that it was last told to be the home; at first that is the birth home. A
//! home that goes leaves its place to the birth home only, and only when that lets no one else ask
//! there any more: so a node that is sent on finds the home, or the birth home, which waits for it.

use giantvm_core::{NodeId, PageIndex};

use super::home::{Active, Want};
use super::message::Message;
use super::{Directory, Out};
use crate::mutants::mutant;
use crate::protocol::{Access, Attach, Violation};

impl Directory {
    /// A request came to a node that is not the home.
    pub(super) fn misdirected(
        &mut self,
        from: NodeId,
        page: PageIndex,
        access: Access,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Request";
        let birth = self.check_may_stray(from, page, message)?;
        // Who is leaving is known to all as the birth home, and its heir perhaps not yet.
        let before = self.births.before(page);
        let knows = before.filter(|&before| before != self.local && before != from);
        let to = if birth == self.local {
            self.home(page)
        } else {
            Some(knows.unwrap_or(birth))
        };
        let unexpected = self.unexpected(page, message);
        if let Some(active) = self.active.get_mut(&page) {
            // The home is on its way here.
            if active.queue.iter().any(|&(node, _)| node == from) {
                return Err(unexpected);
            }
            active.queue.push_back((from, Want::Access(access)));
        } else if let Some(to) = to.filter(|_| birth != from) {
            let redirect = Message::Redirect { page, to };
            self.send(from, redirect, Attach::Nothing, out);
        }
        Ok(())
    }

    /// Checks that `from` may believe that this node, which it is not, is the home. Returns the
    /// birth home.
    pub(super) fn check_may_stray(
        &self,
        from: NodeId,
        page: PageIndex,
        message: &'static str,
    ) -> Result<NodeId, Violation> {
        let wrong = Violation::WrongNode { page, message };
        let birth = self.births.home(page).ok_or_else(|| wrong.clone())?;
        if birth == self.local {
            let is_home = self.home(page) == Some(from);
            return if is_home { Err(wrong) } else { Ok(birth) };
        }
        let slot = self.entries.slot(page);
        let left = slot.is_some_and(|slot| self.entries.get(slot).left);
        let left = left || self.births.has_heir(self.local);
        if left { Ok(birth) } else { Err(wrong) }
    }

    /// The node that was asked is not the home.
    pub(super) fn redirected(
        &mut self,
        from: NodeId,
        page: PageIndex,
        to: NodeId,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Redirect";
        if self.births.is_retired(from) {
            // Its heir was asked when it left.
            return Ok(());
        }
        self.check_home(from, page, message)?;
        let gone = self.births.is_retired(to);
        let heir = self.births.home(page).filter(|_| gone);
        let to = heir.unwrap_or(to);
        let other = (to != from || gone) && to != self.local && self.nodes.contains(to);
        let born = self.births.is_or_was(page, from) || self.births.is_or_was(page, to);
        let possible = other && born;
        let asked = self.pending.get_mut(&page);
        let asked = asked.filter(|pending| pending.is_open());
        let may = self.moves.is_some() && possible && self.copies.get(page).rights.is_none();
        let Some(pending) = asked.filter(|_| may) else {
            return Err(self.unexpected(page, message));
        };
        let access = pending.access();
        if to == from && !pending.insist() {
            return Ok(());
        }
        self.set_home(page, to);
        let request = Message::Request { page, access };
        self.send(to, request, Attach::Nothing, out);
        Ok(())
    }

    /// Tells those in a queue to ask `to`. Wishes to be rid of a copy are void: no one of them has
    /// one. `knows` asks on without being told.
    pub(super) fn send_away(
        &mut self,
        page: PageIndex,
        active: Option<Active>,
        to: NodeId,
        knows: Option<NodeId>,
        out: &mut Out,
    ) {
        for (node, want) in active.map(|active| active.queue).unwrap_or_default() {
            let Want::Access(access) = want else {
                continue;
            };
            let message = if node == self.local {
                Message::Request { page, access }
            } else {
                Message::Redirect { page, to }
            };
            let receiver = if node == self.local { to } else { node };
            if Some(node) != knows && !mutant!(HomeSendsNoOneOn) {
                self.send(receiver, message, Attach::Nothing, out);
            }
        }
    }
}
