//! The home's role: one transaction of a page after the other.

use std::collections::VecDeque;

use giantvm_core::{NodeId, NodeSet, PageIndex};

use super::message::{Grant, Message, Source, Transaction};
use super::plan::plan;
use super::requester::after;
use super::table::{Copied, Entry, Slot};
use super::{Directory, Out};
use crate::mutants::mutant;
use crate::protocol::{Access, Attach, Rights, Tick, Violation};

/// What a node asks its home for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Want {
    /// To get a copy, or to be allowed more with the one it has.
    Access(Access),
    /// To be rid of its copy.
    Evict,
}

/// Requests that wait for their turn: of each node at most one of each kind.
pub(super) type Queue = VecDeque<(NodeId, Want)>;

/// What a busy page is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Serving {
    /// The requester is getting its access.
    Access(NodeId),
    /// The holder is giving up its copy; the home takes it over or does not.
    Leave { leaver: NodeId, take: bool },
    /// No one: the page rests before the next one is served.
    Rest,
    /// The holder is becoming the home.
    Move(NodeId),
    /// No one: the birth home has been told that another node should be the home.
    Yield,
    /// No one: the home is on its way back to this node, its birth home.
    Recall,
}

impl Serving {
    /// Whether this waits for something that `node` has to say.
    pub(super) fn is_with(self, node: NodeId) -> bool {
        match self {
            Self::Access(with) | Self::Move(with) | Self::Leave { leaver: with, .. } => {
                with == node
            }
            Self::Rest | Self::Yield | Self::Recall => false,
        }
    }
}

/// A page whose home is busy with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Active {
    pub(super) serving: Serving,
    /// Who held the page when this began: some may still.
    pub(super) before: NodeSet,
    pub(super) queue: Queue,
    /// Whether the requester was told that nobody waits, and was not told yet that somebody does.
    pub(super) calm: bool,
}

impl Directory {
    /// A node wants access to a page homed here.
    pub(super) fn requested(
        &mut self,
        from: NodeId,
        page: PageIndex,
        access: Access,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Request";
        let Some(slot) = self.homed(page) else {
            return self.misdirected(from, page, access, out);
        };
        let sharing = self.entries.get(slot).sharing;
        let refusal = Violation::Unexpected {
            page,
            message,
            state: sharing.name(),
        };
        // `sharing` is what holds once the running transaction is done. A correct node has not
        // more than that when its request arrives, as it asks after its own Done only.
        if plan(sharing, from, access).is_none() && !self.is_taking(page, from) {
            return Err(refusal);
        }
        self.enqueue(from, page, Want::Access(access), refusal, slot, out)
    }

    /// Serves a request now or in its turn; refuses a second one of the same kind.
    pub(super) fn enqueue(
        &mut self,
        from: NodeId,
        page: PageIndex,
        want: Want,
        refusal: Violation,
        slot: Slot,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let busy = |_: &&mut Active| !mutant!(ServesWhileBusy);
        let Some(active) = self.active.get_mut(&page).filter(busy) else {
            self.serve(page, slot, VecDeque::from([(from, want)]), out);
            return Ok(());
        };
        let alike = |&(node, other): &(NodeId, Want)| {
            node == from && (other == Want::Evict) == (want == Want::Evict)
        };
        if active.queue.iter().any(alike) || active.serving == Serving::Access(from) {
            if mutant!(QueuesBeforeItRefuses) {
                active.queue.push_back((from, want));
            }
            return Err(refusal);
        }
        active.queue.push_back((from, want));
        self.hurry_page(page, out);
        Ok(())
    }

    /// Checks that `message` may end the running transaction.
    pub(super) fn check_end(
        &self,
        page: PageIndex,
        transaction: Transaction,
        message: &'static str,
        ends: impl FnOnce(Serving) -> bool,
    ) -> Result<Slot, Violation> {
        let slot = self.check_homed(page, message)?;
        let entry = self.entries.get(slot);
        let serving = self.active.get(&page).map(|active| active.serving);
        if !serving.is_some_and(ends) {
            return Err(Violation::Unexpected {
                page,
                message,
                state: entry.sharing.name(),
            });
        }
        if transaction != entry.transaction {
            return Err(Violation::Stale {
                page,
                message,
                got: transaction.0.into(),
                expected: entry.transaction.0.into(),
            });
        }
        Ok(slot)
    }

    /// The requester has all it was promised.
    pub(super) fn done(
        &mut self,
        from: NodeId,
        page: PageIndex,
        transaction: Transaction,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let slot = self.check_end(page, transaction, "Done", |serving| match serving {
            Serving::Access(node) => node == from,
            Serving::Leave { leaver, take } => leaver == from && !take,
            Serving::Move(to) => to == from,
            Serving::Rest | Serving::Yield | Serving::Recall => false,
        })?;
        if self.active.get(&page).map(|active| active.serving) == Some(Serving::Move(from)) {
            self.moved(page, slot, from, out);
            return Ok(());
        }
        let waits = self.active.get(&page).is_some_and(|active| {
            matches!(active.serving, Serving::Access(_)) && !active.queue.is_empty()
        });
        if self.rest.0 == 0 || !waits {
            self.next(page, slot, out);
        } else if let Some(active) = self.active.get_mut(&page) {
            active.serving = Serving::Rest;
            active.before = self.entries.get(slot).sharing.holders();
            let until = Tick(self.now.0.saturating_add(self.rest.0));
            self.resting.insert((until, page));
        }
        Ok(())
    }

    /// Serves the pages that have rested long enough.
    pub(super) fn timeout(&mut self, out: &mut Out) {
        while let Some(&(until, page)) = self.resting.first() {
            if until > self.now || mutant!(RestsForEver) {
                return;
            }
            self.resting.pop_first();
            if let Some(slot) = self.homed(page) {
                self.next(page, slot, out);
            }
        }
    }

    /// Serves the next request in the queue, or none.
    pub(super) fn next(&mut self, page: PageIndex, slot: Slot, out: &mut Out) {
        let active = self.active.remove(&page);
        let queue = active.filter(|_| !mutant!(LosesTheQueue));
        let queue = queue.map_or_else(VecDeque::new, |active| active.queue);
        if let Some(queue) = self.press_between(page, slot, queue, out) {
            self.serve(page, slot, queue, out);
        }
    }

    /// Begins the transaction of the first request that still asks for something.
    pub(super) fn serve(&mut self, page: PageIndex, slot: Slot, mut queue: Queue, out: &mut Out) {
        while let Some((node, want)) = queue.pop_front() {
            let mut calm = false;
            let serving = match want {
                Want::Access(access) => {
                    calm = self.is_calm(page, node) && queue.is_empty();
                    self.grant_to(page, slot, (node, access), calm, out)
                }
                Want::Evict => self.release(page, slot, node, out),
            };
            if let Some((serving, before)) = serving {
                let active = Active {
                    serving,
                    before,
                    queue,
                    calm,
                };
                self.active.insert(page, active);
                if mutant!(HomeMovesWhileBusy) {
                    self.settle(page, slot, out);
                }
                return;
            }
        }
        let busy = false;
        let entry = self.entries.get(slot);
        self.entries.set(slot, Entry { busy, ..entry });
        self.settle(page, slot, out);
    }

    /// Grants access. Messages to others go first, as theirs is the longer way.
    fn grant_to(
        &mut self,
        page: PageIndex,
        slot: Slot,
        (requester, access): (NodeId, Access),
        calm: bool,
        out: &mut Out,
    ) -> Option<(Serving, NodeSet)> {
        let entry = self.entries.get(slot);
        let plan = plan(entry.sharing, requester, access);
        // Checked when the request came; later transactions of others only take rights away.
        debug_assert!(plan.is_some(), "node {requester} asks for what it holds");
        let plan = plan?;
        let (copy, local) = (self.copies.get(page), self.local);
        let (version, transaction) = (copy.version, entry.transaction.next());
        let mut plan = plan;
        if let Some(first) = plan.invalidate.without(local).iter().next()
            && mutant!(SparesASharer)
        {
            plan.invalidate = plan.invalidate.without(first);
        }
        for sharer in plan.invalidate.without(local) {
            let order = Message::Invalidate {
                page,
                transaction,
                version,
                requester,
            };
            self.send(sharer, order, Attach::Nothing, out);
        }
        let mut source = plan.source;
        if source == Source::Node(local) {
            self.surrender(page, access, out);
            source = Source::Attached;
        } else if let Source::Node(owner) = source {
            let order = Message::Fetch {
                page,
                transaction,
                version,
                requester,
                access,
            };
            self.send(owner, order, Attach::Nothing, out);
        }
        if plan.invalidate.contains(local) && !mutant!(KeepsOwnCopy) {
            self.discard(page, out);
        }
        if plan.rights == Rights::Write && requester != local {
            let version = after(version);
            self.copies.set(
                page,
                Copied {
                    rights: None,
                    version,
                },
            );
        }
        let mut grant = Grant {
            transaction,
            rights: plan.rights,
            version,
            source,
            awaited: plan.invalidate.without(local),
            calm,
        };
        if let Some(first) = grant.awaited.iter().next()
            && mutant!(AwaitsOneFewer)
        {
            grant.awaited = grant.awaited.without(first);
        }
        if mutant!(GrantsWriteToReaders) {
            grant.rights = Rights::Write;
        }
        let attach = match source {
            Source::Attached => Attach::Page,
            Source::Zero | Source::Held | Source::Node(_) => Attach::Nothing,
        };
        self.send(requester, Message::Grant { page, grant }, attach, out);
        let lead = match self.moves {
            Some(most) if plan.rights == Rights::Write => {
                let again = entry.sharing.owner() == Some(requester);
                entry.lead.after(again, most)
            }
            _ => entry.lead,
        };
        let entry_now = Entry {
            sharing: plan.after,
            transaction,
            busy: true,
            lead,
            ..entry
        };
        self.entries.set(slot, entry_now);
        self.note_arrival(page);
        Some((Serving::Access(requester), entry.sharing.holders()))
    }

    pub(super) fn check_homed(
        &self,
        page: PageIndex,
        message: &'static str,
    ) -> Result<Slot, Violation> {
        let slot = self.homed(page);
        slot.ok_or(Violation::WrongNode { page, message })
    }
}
