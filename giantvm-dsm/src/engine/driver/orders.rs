//! What local threads ask for.

use giantvm_core::NodeId;

use super::Driver;
use crate::backing::BackingError;
use crate::engine::orders::Order;
use crate::engine::refused::Refused;
use crate::protocol::CoherenceProtocol;

impl<P: CoherenceProtocol> Driver<P> {
    /// Does what a local thread asks for. Returns what [`unpin`](Self::unpin) does.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub(in crate::engine) fn order(
        &mut self,
        order: Order,
    ) -> Result<Vec<(NodeId, Refused)>, BackingError> {
        match order {
            Order::Evict(page) => self.evict(page)?,
            Order::Pin(page, reply) => self.pin_for(page, reply)?,
            Order::Unpin(page) => return self.unpin(page),
            Order::Depart => {
                if let Some(wish) = self.wishes.take() {
                    wish.reply.give(self.depart(wish.heir, wish.bandwidth)?);
                }
            }
            Order::Return => self.come_back()?,
        }
        Ok(Vec::new())
    }
}
