//! The holder's role: giving a page back when its home says so, and letting copies go.

use giantvm_core::{NodeId, PageIndex};

use super::home::stale;
use super::message::{Message, Order};
use super::table::{Page, State};
use super::{Lease, Out};
use crate::protocol::{Access, Attach, Command, FrameFate, Tick, Violation};

impl Lease {
    /// The home wants the page back.
    pub(super) fn recall(
        &mut self,
        now: Tick,
        from: NodeId,
        page: PageIndex,
        order: Order,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Recall";
        self.check_home(from, page, message)?;
        let refusal = self.unexpected(page, message);
        let books = self.table.get(page);
        if books.state == State::Owned {
            if self.recalled.contains_key(&page) {
                return Err(refusal);
            }
            if order.grant != books.end {
                return Err(stale(page, message, order.grant, books.end));
            }
            self.obey(now, page, order, out);
            return Ok(());
        }
        // It has overtaken the page itself, which comes in another class of traffic.
        match self.pending.get_mut(&page) {
            Some(pending) if pending.access == Access::Write && pending.early.is_none() => {
                pending.early = Some(order);
                Ok(())
            }
            _ => Err(refusal),
        }
    }

    /// Gives a page back now or when it has rested.
    pub(super) fn obey(&mut self, now: Tick, page: PageIndex, order: Order, out: &mut Out) {
        if self.rest.delays(now, page) {
            self.recalled.insert(page, order);
        } else {
            self.give_back(now, page, order, out);
        }
    }

    /// Gives a page back. What this node wrote, it wrote until now.
    pub(super) fn give_back(&mut self, now: Tick, page: PageIndex, order: Order, out: &mut Out) {
        self.rest.forget(page);
        self.leaving.remove(&page);
        let (books, written) = (self.table.get(page), self.clock);
        let state = match order.access {
            Access::Read => {
                out.push(Command::Protect { page });
                self.hold(now, page, written.max(order.wanted), None);
                State::Leased
            }
            Access::Write => {
                let frame = FrameFate::Keep;
                out.push(Command::Unmap { page, frame });
                State::Invalid
            }
        };
        let given = Page {
            state,
            written,
            ..books
        };
        self.table.set(page, given);
        if let Some(home) = self.homes.home(page) {
            let back = Message::Return { page, written };
            self.send(home, back, Attach::Page, out);
        }
    }

    /// This node would rather not keep what it has of a page. The home keeps what it is home to.
    pub(super) fn evict(&mut self, page: PageIndex, out: &mut Out) {
        let (books, home) = (self.table.get(page), self.homes.home(page));
        let Some(home) = home.filter(|&home| home != self.local && !self.halted) else {
            return;
        };
        // What is asked for may be answered by "you have it".
        if self.pending.contains_key(&page) {
            return;
        }
        match books.state {
            State::Owned => {
                if !self.recalled.contains_key(&page) && self.leaving.insert(page) {
                    let grant = books.end;
                    self.send(home, Message::Evict { page, grant }, Attach::Nothing, out);
                }
            }
            State::Leased => {
                let frame = FrameFate::Drop;
                out.push(Command::Unmap { page, frame });
                self.leases.remove(page);
                self.table.set_state(page, State::Invalid);
            }
            State::Retained => {
                let frame = FrameFate::Drop;
                out.push(Command::Unmap { page, frame });
                self.table.set_state(page, State::Invalid);
            }
            State::Invalid | State::Source => {}
        }
    }
}
