//! The requester's role: from a local fault to the page in place.

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};

use super::message::{Grant, Message, Source, Transaction};
use super::table::Copied;
use super::{Directory, Out};
use crate::mutants::mutant;
use crate::protocol::checks::stale;
use crate::protocol::{Access, Attach, Command, Rights, Violation};

/// A request of this node that is not complete.
///
/// Grant, data and acknowledgements come from different nodes and in different traffic classes,
/// so they come in any order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Pending {
    /// What was requested.
    access: Access,
    /// Whether a local thread wants to write once the requested read is complete.
    then_write: bool,
    /// Whether others wait for the page.
    hurries: bool,
    /// The transaction, as the first message of it said.
    transaction: Option<Transaction>,
    grant: Option<Grant>,
    acknowledged: NodeSet,
    /// Who sent the data, and its version.
    data: Option<(NodeId, Version)>,
    /// Whether an heir was asked once more that named the node whose heir it is.
    insisted: bool,
}

impl Pending {
    const fn new(access: Access) -> Self {
        Self {
            access,
            then_write: false,
            hurries: false,
            transaction: None,
            grant: None,
            acknowledged: NodeSet::EMPTY,
            data: None,
            insisted: false,
        }
    }

    /// What the home was asked for.
    pub(super) const fn access(&self) -> Access {
        self.access
    }

    /// Whether no home has answered.
    pub(super) const fn is_open(&self) -> bool {
        self.grant.is_none()
    }

    /// Whether an heir may be asked once more: it had not heard then that a node has left, and has by now. If
    /// it has not, that node lied, and its pages are not served.
    pub(super) const fn insist(&mut self) -> bool {
        !std::mem::replace(&mut self.insisted, true)
    }

    /// Forgets what came early, as the home asked is not the home, and no one was served. Returns
    /// what to ask another one for.
    pub(super) fn restart(&mut self) -> Access {
        let then_write = self.then_write;
        *self = Self {
            then_write,
            ..Self::new(self.access)
        };
        self.access
    }

    /// The grant, once everything that it names is there.
    fn complete(&self) -> Option<Grant> {
        let grant = self.grant?;
        let data = match grant.source {
            Source::Node(_) => self.data.is_some() || mutant!(DoneBeforeData),
            Source::Zero | Source::Held | Source::Attached => true,
        };
        let all = grant.awaited.is_subset(self.acknowledged) || mutant!(DoneBeforeAcknowledgements);
        (data && all).then_some(grant)
    }

    /// Whether what came before the grant fits it.
    fn agrees(&self, grant: &Grant) -> bool {
        let data = self.data.is_none_or(|(from, version)| {
            grant.source == Source::Node(from) && grant.version == version
        });
        data && self.acknowledged.is_subset(grant.awaited)
    }
}

impl Directory {
    /// A local thread faulted.
    pub(super) fn fault(&mut self, page: PageIndex, access: Access, out: &mut Out) {
        let held = self.copies.get(page).rights;
        if let Some(rights) = held.filter(|rights| rights.allow(access) && !self.halted) {
            out.push(Command::Map { page, rights });
            out.push(Command::Wake { page });
        } else if let Some(pending) = self.pending.get_mut(&page) {
            pending.then_write |= access == Access::Write && pending.access == Access::Read;
        } else {
            self.request(page, access, out);
        }
    }

    pub(super) fn request(&mut self, page: PageIndex, access: Access, out: &mut Out) {
        self.pending.insert(page, Pending::new(access));
        if !self.halted && !self.exit.is_closed() {
            self.note_arrival(page);
            self.ask(page, access, out);
        }
    }

    /// Asks the home, and keeps whom it has asked.
    pub(super) fn ask(&mut self, page: PageIndex, access: Access, out: &mut Out) {
        let Some(home) = self.is_inheriting(page).or_else(|| self.home(page)) else {
            return;
        };
        self.set_home(page, home);
        let request = Message::Request { page, access };
        self.send(home, request, Attach::Nothing, out);
    }

    /// The home's promise came.
    pub(super) fn grant(
        &mut self,
        from: NodeId,
        page: PageIndex,
        grant: Grant,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Grant";
        self.check_home(from, page, message)?;
        let copy = self.copies.get(page);
        let refusal = self.unexpected(page, message);
        let pending = match self.pending.get_mut(&page) {
            Some(pending) if pending.grant.is_none() => pending,
            _ => return Err(refusal),
        };
        check_transaction(page, message, grant.transaction, pending.transaction)?;
        if grant.version < copy.version {
            return Err(stale(page, message, grant.version, copy.version));
        }
        let possible = is_possible(&grant, from, self.local, self.nodes, copy);
        if !possible || !grant.rights.allow(pending.access) || !pending.agrees(&grant) {
            return Err(refusal);
        }
        pending.transaction = Some(grant.transaction);
        pending.grant = Some(grant);
        if grant.source == Source::Attached {
            out.push(Command::Store { page });
        }
        self.complete(page, out);
        Ok(())
    }

    /// The owner's copy came.
    pub(super) fn data(
        &mut self,
        from: NodeId,
        page: PageIndex,
        transaction: Transaction,
        version: Version,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Data";
        let copy = self.copies.get(page);
        let refusal = self.unexpected(page, message);
        let early = self.may_come_early(page);
        let pending = match self.pending.get_mut(&page) {
            Some(pending) if pending.data.is_none() && copy.rights.is_none() => pending,
            _ => return Err(refusal),
        };
        match pending.grant {
            Some(grant) if grant.source != Source::Node(from) => return Err(refusal),
            Some(grant) if grant.version != version => {
                return Err(stale(page, message, version, grant.version));
            }
            None if !early => return Err(refusal),
            _ => check_transaction(page, message, transaction, pending.transaction)?,
        }
        pending.transaction = Some(transaction);
        pending.data = Some((from, version));
        out.push(Command::Store { page });
        self.complete(page, out);
        Ok(())
    }

    /// A sharer's copy is gone.
    pub(super) fn acknowledge(
        &mut self,
        from: NodeId,
        page: PageIndex,
        transaction: Transaction,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Acknowledge";
        let refusal = self.unexpected(page, message);
        let early = self.may_come_early(page);
        let pending = match self.pending.get_mut(&page) {
            Some(pending) if !pending.acknowledged.contains(from) => pending,
            _ => return Err(refusal),
        };
        let expected = pending
            .grant
            .map_or(early, |grant| grant.awaited.contains(from));
        if !expected || pending.access == Access::Read {
            return Err(refusal);
        }
        check_transaction(page, message, transaction, pending.transaction)?;
        pending.transaction = Some(transaction);
        pending.acknowledged = pending.acknowledged.with(from);
        self.complete(page, out);
        Ok(())
    }

    /// Ends the request if all is there.
    fn complete(&mut self, page: PageIndex, out: &mut Out) {
        let Some(pending) = self.pending.get(&page) else {
            return;
        };
        let Some(grant) = pending.complete() else {
            return;
        };
        let (then_write, hurries) = (pending.then_write, pending.hurries);
        self.pending.remove(&page);
        let rights = grant.rights;
        let version = match rights {
            Rights::Read => grant.version,
            Rights::Write => after(grant.version),
        };
        let rights_now = Some(rights);
        self.copies.set(
            page,
            Copied {
                rights: rights_now,
                version,
            },
        );
        out.push(match grant.source {
            Source::Zero => Command::MapZero { page, rights },
            Source::Held => Command::Unprotect { page },
            Source::Attached | Source::Node(_) => Command::Map { page, rights },
        });
        let home = self.home(page).filter(|_| !mutant!(LosesADone));
        if let Some(home) = home {
            let transaction = grant.transaction;
            if grant.calm && !hurries && home != self.local {
                out.push(Command::Linger { page });
            }
            let done = Message::Done { page, transaction };
            self.send(home, done, Attach::Nothing, out);
        }
        if then_write && rights == Rights::Read {
            self.request(page, Access::Write, out);
        }
        if !mutant!(ForgetsToWake) {
            out.push(Command::Wake { page });
        }
    }

    /// Others wait for a page that this node is getting, or has got.
    pub(super) fn hurry(&mut self, page: PageIndex) {
        if let Some(pending) = self.pending.get_mut(&page) {
            pending.hurries = true;
        }
    }

    /// Whether data and acknowledgements may overtake the grant: not on the home itself.
    fn may_come_early(&self, page: PageIndex) -> bool {
        self.homed(page).is_none()
    }
}

/// The version that a writer makes of a granted one. The largest stays: no page gets there in
/// two thousand years, and a home that claims it only harms its own pages.
pub(super) fn after(version: Version) -> Version {
    if mutant!(SameVersion) {
        return version;
    }
    version.next().unwrap_or(Version::MAX)
}

/// Whether a correct home could grant this to a node with this copy.
fn is_possible(grant: &Grant, home: NodeId, local: NodeId, nodes: NodeSet, copy: Copied) -> bool {
    let source = match grant.source {
        Source::Zero => {
            grant.version == Version::ZERO && grant.awaited.is_empty() && copy.rights.is_none()
        }
        Source::Held => {
            copy.rights == Some(Rights::Read)
                && grant.rights == Rights::Write
                && grant.version == copy.version
        }
        Source::Attached => copy.rights.is_none() && home != local,
        Source::Node(node) => {
            copy.rights.is_none()
                && node != local
                && node != home
                && nodes.contains(node)
                && !grant.awaited.contains(node)
        }
    };
    let awaited = grant.awaited.is_subset(nodes.without(local).without(home))
        && (grant.rights == Rights::Write || grant.awaited.is_empty());
    source && awaited
}

fn check_transaction(
    page: PageIndex,
    message: &'static str,
    got: Transaction,
    expected: Option<Transaction>,
) -> Result<(), Violation> {
    match expected {
        Some(expected) if got != expected => Err(Violation::Stale {
            page,
            message,
            got: got.0.into(),
            expected: expected.0.into(),
        }),
        _ => Ok(()),
    }
}
