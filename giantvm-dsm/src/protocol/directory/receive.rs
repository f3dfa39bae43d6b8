//! Which part of a node a message is for.

use giantvm_core::NodeId;

use super::holder::Order;
use super::message::Message;
use super::moves::Passed;
use super::{Directory, Out};
use crate::protocol::Violation;

impl Directory {
    /// Handles a message whose sender, page and payload were looked at.
    pub(super) fn receive(
        &mut self,
        from: NodeId,
        message: Message,
        out: &mut Out,
    ) -> Result<(), Violation> {
        match message {
            Message::Request { page, access } => self.requested(from, page, access, out),
            Message::Grant { page, grant } => self.grant(from, page, grant, out),
            Message::Fetch {
                page,
                transaction,
                version,
                requester,
                access,
            } => {
                let order = Order {
                    page,
                    transaction,
                    version,
                    requester,
                };
                self.fetch(from, order, access, out)
            }
            Message::Invalidate {
                page,
                transaction,
                version,
                requester,
            } => {
                let order = Order {
                    page,
                    transaction,
                    version,
                    requester,
                };
                self.invalidate(from, order, out)
            }
            Message::Acknowledge { page, transaction } => {
                self.acknowledge(from, page, transaction, out)
            }
            Message::Data {
                page,
                transaction,
                version,
            } => self.data(from, page, transaction, version, out),
            Message::Evict { page } => self.evict_asked(from, page, out),
            Message::Release {
                page,
                transaction,
                version,
                take,
            } => self.released(from, page, (transaction, version), take, out),
            Message::Returned {
                page,
                transaction,
                version,
            } => self.returned(from, page, (transaction, version), out),
            Message::Done { page, transaction } => self.done(from, page, transaction, out),
            Message::Hurry { page } => {
                self.hurry(page);
                Ok(())
            }
            Message::Move {
                page,
                transaction,
                version,
            } => self.become_home(from, page, (transaction, version), out),
            Message::Redirect { page, to } => self.redirected(from, page, to, out),
            Message::Yield { page } => self.yielded(from, page, out),
            Message::Recall { page } => self.recalled(from, page, out),
            Message::Pass {
                page,
                transaction,
                version,
                owner,
                rights,
            } => {
                let passed = Passed {
                    transaction,
                    version,
                    owner,
                    rights,
                };
                self.passed(from, page, passed, out)
            }
            Message::Reclaim { page } => self.reclaimed(from, page, out),
            Message::Heir { heir } => self.heir_named(from, heir),
            Message::Leave => self.left_behind(from, out),
            Message::Agree => self.agreed(from, out),
            Message::Back => self.returned_node(from),
        }
    }
}
