//! The requester's role: from a local fault to the token.

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};

use super::message::{Message, Request, Source, Token, Want};
use super::table::Part;
use super::{Ivy, Out};
use crate::mutants::mutant;
use crate::protocol::checks::stale;
use crate::protocol::{Access, Attach, Command, Rights, Tick, Violation};

/// A request of this node that is not complete, or its wait for sharers to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pending {
    pub(super) want: Want,
    /// Whether a local thread wants to write once the requested read is complete.
    then_write: bool,
    /// The sharers whose copies are still to go; `None` as long as the token is not here.
    pub(super) awaited: Option<NodeSet>,
}

impl Ivy {
    /// A local thread faulted.
    pub(super) fn fault(&mut self, now: Tick, page: PageIndex, access: Access, out: &mut Out) {
        let part = self.table.get(page);
        if let Some(rights) = part.rights.filter(|r| r.allow(access) && !self.halted) {
            out.push(Command::Map { page, rights });
            out.push(Command::Wake { page });
            return;
        }
        if let Some(pending) = self.pending.get_mut(&page) {
            let reads = pending.want == Want::Read;
            pending.then_write |= access == Access::Write && reads;
            return;
        }
        let want = match (access, part.rights) {
            (Access::Read, _) => Want::Read,
            (Access::Write, None) => Want::Write,
            (Access::Write, Some(_)) => Want::Upgrade(part.version),
        };
        let pending = Pending {
            want,
            then_write: false,
            awaited: None,
        };
        if self.halted {
            self.pending.insert(page, pending);
        } else if part.token && part.is_untouched() {
            self.first_touch(now, page, part, out);
        } else if part.token {
            self.pending.insert(page, pending);
            self.begin_write(now, page, out);
        } else {
            self.pending.insert(page, pending);
            self.request(page, want, part, out);
        }
    }

    fn request(&mut self, page: PageIndex, want: Want, part: Part, out: &mut Out) {
        let requester = self.local;
        let request = Request { requester, want };
        out.push(Command::Send {
            to: part.father,
            message: Message::Request { page, request },
            attach: Attach::Nothing,
        });
        let father = self.local;
        self.table.set(page, Part { father, ..part });
    }

    /// The token came.
    pub(super) fn token(
        &mut self,
        now: Tick,
        from: NodeId,
        page: PageIndex,
        token: Token,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Token";
        let part = self.table.get(page);
        let want = match self.pending.get(&page) {
            Some(pending) if pending.awaited.is_none() => pending.want,
            _ => return Err(self.unexpected(page, message)),
        };
        if token.version < part.version {
            return Err(stale(page, message, token.version, part.version));
        }
        let others = self.nodes.without(self.local);
        if !token.sharers.is_subset(others) || !is_possible(token, from, want, part) {
            return Err(self.unexpected(page, message));
        }
        let part = Part {
            version: token.version,
            token: true,
            sharers: token.sharers,
            ..part
        };
        match token.source {
            Source::Zero => {
                self.pending.remove(&page);
                self.first_touch(now, page, part, out);
                return Ok(());
            }
            Source::Held => {}
            Source::Attached => out.push(Command::Store { page }),
        }
        self.table.set(page, part);
        match want.access() {
            Access::Read => self.begin_read(now, page, out),
            Access::Write => self.begin_write(now, page, out),
        }
        Ok(())
    }

    /// The page is ours and zero everywhere, so it may be written at once.
    fn first_touch(&mut self, now: Tick, page: PageIndex, part: Part, out: &mut Out) {
        let rights = Rights::Write;
        out.push(Command::MapZero { page, rights });
        self.settle(now, page, rights, after(part.version), out);
    }

    /// The page is ours, and we only want to read it.
    fn begin_read(&mut self, now: Tick, page: PageIndex, out: &mut Out) {
        let pending = self.pending.remove(&page);
        let (rights, version) = (Rights::Read, self.table.get(page).version);
        out.push(Command::Map { page, rights });
        if pending.is_some_and(|pending| pending.then_write) {
            let part = self.table.get(page);
            let rights = Some(rights);
            self.table.set(page, Part { rights, ..part });
            out.push(Command::Wake { page });
            self.fault(now, page, Access::Write, out);
        } else {
            self.settle(now, page, rights, version, out);
        }
    }

    /// The page is ours, but others may read it: all of them are told at once.
    fn begin_write(&mut self, now: Tick, page: PageIndex, out: &mut Out) {
        let part = self.table.get(page);
        let version = part.version;
        let spared = usize::from(mutant!(IvySparesASharer));
        for to in part.sharers.iter().skip(spared) {
            out.push(Command::Send {
                to,
                message: Message::Invalidate { page, version },
                attach: Attach::Nothing,
            });
        }
        if let Some(pending) = self.pending.get_mut(&page) {
            let spared: NodeSet = part.sharers.iter().take(spared).collect();
            pending.awaited = Some(part.sharers.minus(spared));
        }
        let sharers = NodeSet::EMPTY;
        self.table.set(page, Part { sharers, ..part });
        self.complete_write(now, page, out);
    }

    /// A sharer's copy is gone.
    pub(super) fn acknowledge(
        &mut self,
        now: Tick,
        from: NodeId,
        page: PageIndex,
        version: Version,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Acknowledge";
        let awaited = self.pending.get(&page).and_then(|pending| pending.awaited);
        let Some(awaited) = awaited.filter(|awaited| awaited.contains(from)) else {
            return Err(self.unexpected(page, message));
        };
        let current = self.table.get(page).version;
        if version != current {
            return Err(stale(page, message, version, current));
        }
        if let Some(pending) = self.pending.get_mut(&page) {
            pending.awaited = Some(awaited.without(from));
        }
        self.complete_write(now, page, out);
        Ok(())
    }

    /// Ends the wait for sharers if there is none left.
    fn complete_write(&mut self, now: Tick, page: PageIndex, out: &mut Out) {
        let awaited = self.pending.get(&page).and_then(|pending| pending.awaited);
        if awaited != Some(NodeSet::EMPTY) && !(awaited.is_some() && mutant!(IvyAwaitsNoOne)) {
            return;
        }
        self.pending.remove(&page);
        let (part, rights) = (self.table.get(page), Rights::Write);
        out.push(match part.rights {
            Some(_) => Command::Unprotect { page },
            None => Command::Map { page, rights },
        });
        self.settle(now, page, rights, after(part.version), out);
    }

    /// The page is ours, mapped, and nothing is pending: its rest begins.
    fn settle(
        &mut self,
        now: Tick,
        page: PageIndex,
        rights: Rights,
        version: Version,
        out: &mut Out,
    ) {
        let part = self.table.get(page);
        let rights = Some(rights);
        self.table.set(
            page,
            Part {
                rights,
                version,
                token: true,
                ..part
            },
        );
        out.push(Command::Wake { page });
        let until = Tick(now.0.saturating_add(self.rest.0));
        self.rests.begin(page, now, until);
        self.arrived(page, out);
    }
}

/// The version that a writer makes. The largest stays: no page gets there in two thousand years,
/// and then no one is given less for it, as only a sharer's copy ever stands for data.
fn after(version: Version) -> Version {
    if mutant!(IvySameVersion) {
        return version;
    }
    version.next().unwrap_or(Version::MAX)
}

/// Whether a correct owner could give this to a node that wants this and has this part.
fn is_possible(token: Token, from: NodeId, want: Want, part: Part) -> bool {
    // Who gave the page to a reader keeps a copy; who gave it to a writer does not.
    let giver_shares = token.sharers.contains(from) == (want == Want::Read);
    match token.source {
        Source::Zero => {
            token.version == Version::ZERO && token.sharers.is_empty() && part.rights.is_none()
        }
        Source::Held => {
            want == Want::Upgrade(token.version)
                && part.rights.is_some()
                && part.version == token.version
                && giver_shares
        }
        Source::Attached => part.rights.is_none() && token.version != Version::ZERO && giver_shares,
    }
}
