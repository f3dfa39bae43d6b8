//! The requester's role: from a local fault to the page in place.

use giantvm_core::{NodeId, PageIndex, Stamp};

use super::home::{Asked, stale};
use super::message::{Grant, Message, Order, Source};
use super::table::{Page, State};
use super::{Lease, Out};
use crate::mutants::mutant;
use crate::protocol::{Access, Attach, Command, FrameFate, Rights, Tick, Violation};

/// A request of this node that is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pending {
    /// What was requested.
    pub access: Access,
    /// What the clock showed then.
    clock: Stamp,
    /// Whether a local thread waits, rather than that a lease is just to be refreshed.
    waits: bool,
    /// How many answers in a row were leases that had ended when they came.
    late: u8,
    /// A recall of the page that came before the page.
    pub early: Option<Order>,
}

impl Lease {
    /// A local thread faulted.
    pub(super) fn fault(&mut self, now: Tick, page: PageIndex, access: Access, out: &mut Out) {
        let rights = self.table.get(page).rights();
        if let Some(rights) = rights.filter(|rights| rights.allow(access) && !self.halted) {
            self.leases.used(page);
            out.push(Command::Map { page, rights });
            out.push(Command::Wake { page });
        } else if let Some(pending) = self.pending.get_mut(&page) {
            if !pending.waits {
                self.refreshing -= 1;
            }
            pending.waits = true;
        } else {
            self.request(now, page, access, 0, true, out);
        }
    }

    /// Asks the home for a page.
    pub(super) fn request(
        &mut self,
        now: Tick,
        page: PageIndex,
        access: Access,
        late: u8,
        waits: bool,
        out: &mut Out,
    ) {
        let clock = self.clock;
        let pending = Pending {
            access,
            clock,
            waits,
            late,
            early: None,
        };
        self.pending.insert(page, pending);
        if !waits {
            self.refreshing += 1;
        }
        let held = self.table.get(page).held();
        let Some(home) = self.homes.home(page).filter(|_| !self.halted) else {
            return;
        };
        if home == self.local {
            let asked = Asked {
                node: home,
                access,
                clock,
                held,
            };
            self.enqueue(now, page, asked, out);
        } else {
            let request = Message::Request {
                page,
                access,
                clock,
                held,
            };
            self.send(home, request, Attach::Nothing, out);
        }
    }

    /// This node's request for a page is answered, if there was one.
    pub(super) fn end_request(&mut self, page: PageIndex) {
        let pending = self.pending.remove(&page);
        if pending.is_some_and(|pending| !pending.waits) {
            self.refreshing -= 1;
        }
    }

    /// The home's answer came.
    pub(super) fn granted(
        &mut self,
        now: Tick,
        from: NodeId,
        page: PageIndex,
        grant: Grant,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Grant";
        self.check_home(from, page, message)?;
        let refusal = self.unexpected(page, message);
        let Some(pending) = self.pending.get(&page).copied() else {
            return Err(refusal);
        };
        let held = self.table.get(page).held();
        let zero = grant.written == Stamp::ZERO;
        let possible = match (grant.source, grant.rights) {
            // Even a read of an untouched page gets the page itself.
            (Source::Zero, Rights::Write) => {
                zero && grant.end == Stamp::ZERO && held == Stamp::ZERO
            }
            (Source::Zero, Rights::Read) => false,
            (Source::Held | Source::Attached, Rights::Read) => {
                !zero && grant.end >= pending.clock && pending.access == Access::Read
            }
            (Source::Held | Source::Attached, Rights::Write) => {
                !zero && pending.access == Access::Write
            }
        };
        if !possible || grant.end < grant.written {
            return Err(refusal);
        }
        match grant.source {
            Source::Held if grant.written != held => {
                return Err(stale(page, message, grant.written, held));
            }
            Source::Attached if grant.written <= held => {
                return Err(stale(page, message, grant.written, held.after()));
            }
            Source::Zero | Source::Held | Source::Attached => {}
        }
        if let Some(early) = pending.early.filter(|early| early.grant != grant.end) {
            return Err(stale(page, message, grant.end, early.grant));
        }
        match grant.rights {
            Rights::Read => self.leased(now, page, grant, pending, out),
            Rights::Write => self.given(now, page, grant, pending, out),
        }
        Ok(())
    }

    /// A lease came, of new bytes or of those that are here.
    fn leased(
        &mut self,
        now: Tick,
        page: PageIndex,
        grant: Grant,
        pending: Pending,
        out: &mut Out,
    ) {
        self.end_request(page);
        let books = self.table.get(page);
        let before = self.leases.remove(page);
        let mut mapped = before.is_some();
        let attached = grant.source == Source::Attached;
        // After this, the clock shows at least the time of the write that the bytes show.
        self.advance(grant.written, out);
        let ended = grant.end < self.clock;
        if mapped && (attached || ended) {
            let frame = FrameFate::Retain;
            out.push(Command::Unmap { page, frame });
        }
        if attached {
            out.push(Command::Store { page });
        }
        let wanted = (mapped || pending.waits) && !ended;
        mapped &= !attached;
        if wanted {
            if !mapped {
                let rights = Rights::Read;
                out.push(Command::Map { page, rights });
            }
            let before = before.filter(|_| !pending.waits);
            self.hold(
                now,
                page,
                grant.end,
                before.map(|before| (before, attached)),
            );
        }
        let state = if wanted {
            State::Leased
        } else {
            State::Retained
        };
        let written = grant.written;
        self.table.set(
            page,
            Page {
                state,
                written,
                ..books
            },
        );
        if wanted && pending.waits {
            out.push(Command::Wake { page });
        } else if pending.waits {
            // The clock has passed the lease meanwhile. What is owned, no clock takes away.
            let late = pending.late + 1;
            let access = if late < Self::MOST_LATE {
                Access::Read
            } else {
                Access::Write
            };
            self.request(now, page, access, late, true, out);
        }
    }

    /// The page itself came.
    fn given(&mut self, now: Tick, page: PageIndex, grant: Grant, pending: Pending, out: &mut Out) {
        if grant.end >= Self::LAST {
            // No time is left to write at: this ends all leases, and the node.
            self.advance(grant.end.after(), out);
            return;
        }
        self.end_request(page);
        let books = self.table.get(page);
        let mapped = self.leases.remove(page).is_some();
        // Nobody else may read the page at the time that the clock shows after this.
        let first = if mutant!(LeaseWritesTooEarly) {
            grant.end
        } else {
            grant.end.after()
        };
        self.advance(first, out);
        let rights = Rights::Write;
        match grant.source {
            Source::Zero => out.push(Command::MapZero { page, rights }),
            Source::Held if mapped => out.push(Command::Unprotect { page }),
            Source::Held => out.push(Command::Map { page, rights }),
            Source::Attached => {
                if mapped {
                    let frame = FrameFate::Retain;
                    out.push(Command::Unmap { page, frame });
                }
                out.push(Command::Store { page });
                out.push(Command::Map { page, rights });
            }
        }
        let owned = Page {
            state: State::Owned,
            written: grant.written,
            end: grant.end,
            ..books
        };
        self.table.set(page, owned);
        self.rest.begin(now, page);
        out.push(Command::Wake { page });
        if let Some(order) = pending.early {
            self.obey(now, page, order, out);
        }
    }
}
