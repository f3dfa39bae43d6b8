//! What a node is told about others that leave: who takes their part over, that they have nothing
//! left, that they are back.
//!
//! A notice is answered once all is over that its sender is still needed for. That may take a while,
//! so it is noted, at most one of each node, and looked at again after each input.

use giantvm_core::{NodeId, PageIndex};

use super::home::{Active, Queue, Serving, Want};
use super::message::{Message, WHOLE};
use super::table::{Entry, Sharing};
use super::{Directory, Out};
use crate::mutants::mutant;
use crate::protocol::{Attach, Phase, Violation};

/// What a node that is leaving said, and waits for an answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Notice {
    Heir(NodeId),
    Leave,
}

impl Directory {
    /// A node says who takes its part over.
    pub(super) fn heir_named(&mut self, from: NodeId, heir: NodeId) -> Result<(), Violation> {
        let possible = self.nodes.contains(heir)
            && self.births.may_inherit(from, heir)
            && !self.notices.contains_key(&from)
            && self.moves.is_some();
        if !possible {
            return Err(strange("Heir", "such an heir"));
        }
        self.notices.insert(from, Notice::Heir(heir));
        Ok(())
    }

    /// A node has no part in any page any more.
    pub(super) fn left_behind(&mut self, from: NodeId, out: &mut Out) -> Result<(), Violation> {
        let possible = self.births.has_heir(from)
            && !self.notices.contains_key(&from)
            && !self.left.contains(from);
        if !possible {
            return Err(strange("Leave", "a node that names no heir, or has left"));
        }
        if self.has_been_forgotten_by(from) {
            return Err(strange(
                "Leave",
                "a node that is home to what the heir holds",
            ));
        }
        self.births.retire(from);
        self.notices.insert(from, Notice::Leave);
        self.hurry_all(out);
        for active in self.active.values_mut() {
            active.queue.retain(|&asked| asked != (from, Want::Evict));
        }
        let asked = |&(&page, _): &(&PageIndex, &_)| self.told_home(page) == Some(from);
        let asked: Vec<_> = self
            .pending
            .iter()
            .filter(asked)
            .map(|(&page, _)| page)
            .collect();
        for page in asked {
            self.ask_the_heir(page, out);
        }
        Ok(())
    }

    /// Whether this node would inherit a page as untouched that it holds itself: then `from` still has to
    /// pass it on.
    fn has_been_forgotten_by(&self, from: NodeId) -> bool {
        let mut pages = self
            .births
            .of(self.local)
            .into_iter()
            .flat_map(|run| run.iter());
        pages.any(|page| {
            let untouched = |slot| self.entries.get(slot).sharing == Sharing::Untouched;
            self.copies.get(page).rights.is_some()
                && self.told_home(page) == Some(from)
                && self.entries.slot(page).is_some_and(untouched)
        })
    }

    /// Asks the heir of the node that was asked for `page`, and has left without an answer.
    fn ask_the_heir(&mut self, page: PageIndex, out: &mut Out) {
        let Some(pending) = self.pending.get_mut(&page) else {
            return;
        };
        let access = pending.restart();
        if self.home(page) != Some(self.local) {
            self.ask(page, access, out);
            return;
        }
        // This node's own threads are served like everyone's after a rest: in an input of its own.
        let slot = self.entries.slot(page);
        let Some(slot) = slot.filter(|_| !self.active.contains_key(&page)) else {
            return;
        };
        let entry = self.entries.get(slot);
        self.set_home(page, self.local);
        self.entries.set(
            slot,
            Entry {
                busy: true,
                ..entry
            },
        );
        let active = Active {
            serving: Serving::Rest,
            before: entry.sharing.holders(),
            queue: Queue::from([(self.local, Want::Access(access))]),
            calm: false,
        };
        self.active.insert(page, active);
        self.resting.insert((self.now, page));
    }

    /// A node that had left takes part again.
    pub(super) fn returned_node(&mut self, from: NodeId) -> Result<(), Violation> {
        if !self.left.contains(from) {
            return Err(strange("Back", "a node that has not left"));
        }
        self.left = self.left.without(from);
        Ok(())
    }

    /// Answers the notices that nothing is in the way of any more.
    pub(super) fn answer_notices(&mut self, out: &mut Out) {
        // One at a time: the first may be in the way of the next.
        while let Some((from, notice)) = self.answerable() {
            self.notices.remove(&from);
            match notice {
                Notice::Heir(heir) => {
                    if heir == self.local {
                        self.take_over(from);
                    }
                    self.births.inherit(from, heir);
                }
                Notice::Leave => self.left = self.left.with(from),
            }
            self.send(from, Message::Agree, Attach::Nothing, out);
        }
    }

    fn answerable(&self) -> Option<(NodeId, Notice)> {
        let mut notices = self.notices.iter().map(|(&from, &notice)| (from, notice));
        notices.find(|&(from, notice)| self.may_agree(from, notice))
    }

    fn may_agree(&self, from: NodeId, notice: Notice) -> bool {
        match notice {
            Notice::Heir(heir) => {
                let alone = self.births.leaving().is_none();
                let stays = matches!(self.exit.phase, Phase::Here | Phase::Left);
                let stale = |&page: &PageIndex| {
                    self.births.home(page) == Some(from) && self.told_home(page) != Some(from)
                };
                let heir_knows = heir != self.local
                    || self.exit.phase == Phase::Here && !self.pending.keys().any(stale);
                alone && stays && heir_knows && self.births.may_inherit(from, heir)
            }
            Notice::Leave => {
                let needed =
                    |active: &Active| active.before.contains(from) || active.serving.is_with(from);
                mutant!(HomeAgreesTooSoon) || !self.active.values().any(needed)
            }
        }
    }

    /// This node becomes the birth home of what `from` is it of, which is the home of all of that
    /// still: whoever this node took for the home of pages that it has nothing to do with.
    fn take_over(&mut self, from: NodeId) {
        for page in self.births.of(from).into_iter().flat_map(|run| run.iter()) {
            if self.told_home(page) != Some(from) && !mutant!(HomeInheritsHearsay) {
                self.set_home(page, from);
            }
        }
    }

    /// Whether this node is about to become the heir of `page`'s birth home, which is the home.
    pub(super) fn is_inheriting(&self, page: PageIndex) -> Option<NodeId> {
        let (&from, _) = self
            .notices
            .iter()
            .find(|&(_, &notice)| notice == Notice::Heir(self.local))?;
        (self.births.home(page) == Some(from)).then_some(from)
    }
}

fn strange(message: &'static str, state: &'static str) -> Violation {
    let page = WHOLE;
    Violation::Unexpected {
        page,
        message,
        state,
    }
}
