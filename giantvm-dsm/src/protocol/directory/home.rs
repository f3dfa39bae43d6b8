//! The home's role: one transaction of a page after the other.

use std::collections::VecDeque;

use giantvm_core::{NodeId, NodeSet, PageIndex};

use super::message::{Grant, Message, Source, Transaction};
use super::plan::plan;
use super::requester::after;
use super::table::{Copied, Entry, Slot};
use super::{Directory, Out};
use crate::protocol::{Access, Attach, Rights, Tick, Violation};

/// A page whose home is busy with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Active {
    /// Who is being served; `None` while the page rests before the next one is.
    requester: Option<NodeId>,
    /// Who held the page when this began: some may still.
    pub(super) before: NodeSet,
    /// Requests that wait, at most one a node.
    queue: VecDeque<(NodeId, Access)>,
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
        let slot = self.check_homed(page, message)?;
        let sharing = self.entries.get(slot).sharing;
        let refusal = Violation::Unexpected {
            page,
            message,
            state: sharing.name(),
        };
        // `sharing` is what holds once the running transaction is done. A correct node has not
        // more than that when its request arrives, as it asks after its own Done only.
        if plan(sharing, from, access).is_none() {
            return Err(refusal);
        }
        let Some(active) = self.active.get_mut(&page) else {
            self.serve(page, slot, (from, access), VecDeque::new(), out);
            return Ok(());
        };
        let twice = active.queue.iter().any(|&(node, _)| node == from);
        if twice || active.requester == Some(from) {
            return Err(refusal);
        }
        active.queue.push_back((from, access));
        Ok(())
    }

    /// The requester has all it was promised.
    pub(super) fn done(
        &mut self,
        now: Tick,
        from: NodeId,
        page: PageIndex,
        transaction: Transaction,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Done";
        let slot = self.check_homed(page, message)?;
        let entry = self.entries.get(slot);
        let active = match self.active.get_mut(&page) {
            Some(active) if active.requester == Some(from) => active,
            _ => {
                return Err(Violation::Unexpected {
                    page,
                    message,
                    state: entry.sharing.name(),
                });
            }
        };
        if transaction != entry.transaction {
            return Err(Violation::Stale {
                page,
                message,
                got: transaction.0.into(),
                expected: entry.transaction.0.into(),
            });
        }
        if active.queue.is_empty() || self.rest.0 == 0 {
            self.next(page, slot, out);
        } else {
            active.requester = None;
            active.before = entry.sharing.holders();
            let until = Tick(now.0.saturating_add(self.rest.0));
            self.resting.insert((until, page));
        }
        Ok(())
    }

    /// Serves the pages that have rested long enough.
    pub(super) fn timeout(&mut self, now: Tick, out: &mut Out) {
        while let Some(&(until, page)) = self.resting.first() {
            if until > now {
                return;
            }
            self.resting.pop_first();
            if let Some(slot) = self.entries.slot(page) {
                self.next(page, slot, out);
            }
        }
    }

    /// Serves the next request in the queue, or none.
    fn next(&mut self, page: PageIndex, slot: Slot, out: &mut Out) {
        let mut queue = self
            .active
            .remove(&page)
            .map_or_else(VecDeque::new, |active| active.queue);
        match queue.pop_front() {
            Some(request) => self.serve(page, slot, request, queue, out),
            None => {
                let entry = self.entries.get(slot);
                self.entries.set(
                    slot,
                    Entry {
                        busy: false,
                        ..entry
                    },
                );
            }
        }
    }

    /// Begins a transaction. Messages to others go first, as theirs is the longer way.
    fn serve(
        &mut self,
        page: PageIndex,
        slot: Slot,
        (requester, access): (NodeId, Access),
        queue: VecDeque<(NodeId, Access)>,
        out: &mut Out,
    ) {
        let entry = self.entries.get(slot);
        let Some(plan) = plan(entry.sharing, requester, access) else {
            // Checked when the request came; later transactions of others only take rights away.
            debug_assert!(false, "a request in the queue asks for what its node holds");
            return;
        };
        let (copy, local) = (self.copies.get(page), self.local);
        let (version, transaction) = (copy.version, entry.transaction.next());
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
        if plan.invalidate.contains(local) {
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
        let grant = Grant {
            transaction,
            rights: plan.rights,
            version,
            source,
            awaited: plan.invalidate.without(local),
        };
        let attach = match source {
            Source::Attached => Attach::Page,
            Source::Zero | Source::Held | Source::Node(_) => Attach::Nothing,
        };
        self.send(requester, Message::Grant { page, grant }, attach, out);
        let entry_now = Entry {
            sharing: plan.after,
            transaction,
            busy: true,
        };
        self.entries.set(slot, entry_now);
        let active = Active {
            requester: Some(requester),
            before: entry.sharing.holders(),
            queue,
        };
        self.active.insert(page, active);
    }

    fn check_homed(&self, page: PageIndex, message: &'static str) -> Result<Slot, Violation> {
        let slot = self.entries.slot(page);
        slot.ok_or(Violation::WrongNode { page, message })
    }
}
