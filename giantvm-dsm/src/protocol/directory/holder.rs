//! The holder's role: giving up copies when the home says so.

use giantvm_core::{NodeId, PageIndex, Version};

use super::message::{Message, Transaction};
use super::table::Copied;
use super::{Directory, Out};
use crate::mutants::mutant;
use crate::protocol::{Access, Attach, Command, FrameFate, Rights, Violation};

/// What the home tells a holder about the transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub page: PageIndex,
    pub transaction: Transaction,
    pub version: Version,
    pub requester: NodeId,
}

impl Directory {
    /// The home wants our copy sent to the requester.
    pub(super) fn fetch(
        &mut self,
        from: NodeId,
        order: Order,
        access: Access,
        out: &mut Out,
    ) -> Result<(), Violation> {
        self.check_order(from, order, "Fetch")?;
        if !mutant!(SendsBeforeProtecting) {
            self.surrender(order.page, access, out);
        }
        let data = Message::Data {
            page: order.page,
            transaction: order.transaction,
            version: order.version,
        };
        self.send(order.requester, data, Attach::Page, out);
        if mutant!(SendsBeforeProtecting) {
            self.surrender(order.page, access, out);
        }
        Ok(())
    }

    /// The home wants our copy gone.
    pub(super) fn invalidate(
        &mut self,
        from: NodeId,
        order: Order,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let (page, message) = (order.page, "Invalidate");
        self.check_order(from, order, message)?;
        // A writer's copy is the only one: it is fetched, never just dropped.
        if self.copies.get(page).rights != Some(Rights::Read) {
            return Err(self.unexpected(page, message));
        }
        if !mutant!(KeepsAnInvalidatedCopy) {
            self.discard(page, out);
        }
        let transaction = order.transaction;
        let gone = Message::Acknowledge { page, transaction };
        let to = if mutant!(AcknowledgesToTheHome) {
            from
        } else {
            order.requester
        };
        self.send(to, gone, Attach::Nothing, out);
        Ok(())
    }

    /// Gives up as much of a copy as another node's access needs, and keeps its bytes to be sent.
    pub(super) fn surrender(&mut self, page: PageIndex, access: Access, out: &mut Out) {
        let copy = self.copies.get(page);
        let rights = match (access, copy.rights) {
            (Access::Read, Some(Rights::Write)) if !mutant!(KeepsWriting) => {
                out.push(Command::Protect { page });
                Some(Rights::Read)
            }
            (Access::Read, rights) => rights,
            (Access::Write, rights) if mutant!(KeepsATakenCopy) => rights,
            (Access::Write, _) => {
                self.give_up(page, FrameFate::Keep, out);
                return;
            }
        };
        self.copies.set(page, Copied { rights, ..copy });
    }

    /// Drops a copy and its bytes.
    pub(super) fn discard(&mut self, page: PageIndex, out: &mut Out) {
        self.give_up(page, FrameFate::Drop, out);
    }

    /// Takes a copy's mapping away, and with it the wish to be rid of it.
    pub(super) fn give_up(&mut self, page: PageIndex, frame: FrameFate, out: &mut Out) {
        out.push(Command::Unmap { page, frame });
        let version = self.copies.get(page).version;
        let rights = None;
        self.copies.set(page, Copied { rights, version });
        self.leaving.remove(&page);
    }

    fn check_order(
        &self,
        from: NodeId,
        order: Order,
        message: &'static str,
    ) -> Result<(), Violation> {
        let page = order.page;
        self.check_home(from, page, message)?;
        let copy = self.copies.get(page);
        let to_another = order.requester != self.local && self.nodes.contains(order.requester);
        if copy.rights.is_none() || !to_another {
            return Err(self.unexpected(page, message));
        }
        if copy.version != order.version {
            return Err(Violation::Stale {
                page,
                message,
                got: order.version.get(),
                expected: copy.version.get(),
            });
        }
        Ok(())
    }
}
