//! The home's role: gives leases of its pages, or the pages themselves, one grant after the other.

use std::collections::VecDeque;

use giantvm_core::{NodeId, PageIndex, Stamp};

use super::message::{Grant, Message, Order, Source};
use super::table::{Holder, Page, State};
use super::{Lease, Out};
use crate::protocol::{Access, Attach, Command, FrameFate, Rights, Tick, Violation};

/// What a node asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pub node: NodeId,
    pub access: Access,
    /// What its clock showed.
    pub clock: Stamp,
    /// The version whose bytes it has; zero for none.
    pub held: Stamp,
}

/// Requests in the order they are served: of each node at most one.
pub(super) type Queue = VecDeque<Asked>;

/// A page that its home waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Active {
    /// What its owner was told; `None` while it rests at the home itself.
    pub order: Option<Order>,
    pub queue: Queue,
}

impl Lease {
    /// A node wants a page homed here.
    pub(super) fn requested(
        &mut self,
        now: Tick,
        page: PageIndex,
        asked: Asked,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Request";
        self.check_homed(page, message)?;
        let holder = self.table.get(page).holder;
        let active = self.active.get(&page);
        let has_it = holder == Holder::Owner(asked.node);
        let waits = active.is_some_and(|active| active.queue.iter().any(|a| a.node == asked.node));
        // An owner that was told to give the page back may have done so: this came first.
        if waits || has_it && active.is_none() {
            return Err(Violation::Unexpected {
                page,
                message,
                state: holder.name(),
            });
        }
        self.enqueue(now, page, asked, out);
        Ok(())
    }

    /// Serves a request now or in its turn.
    pub(super) fn enqueue(&mut self, now: Tick, page: PageIndex, asked: Asked, out: &mut Out) {
        match self.active.get_mut(&page) {
            Some(active) => active.queue.push_back(asked),
            None => self.serve(now, page, VecDeque::from([asked]), out),
        }
    }

    /// Serves requests until one has to wait for the page.
    pub(super) fn serve(&mut self, now: Tick, page: PageIndex, mut queue: Queue, out: &mut Out) {
        while let Some(&asked) = queue.front().filter(|_| !self.halted) {
            let books = self.table.get(page);
            match books.holder {
                Holder::Owner(node) if node != self.local => {
                    let order = self.order(books, asked);
                    self.recall_from(node, page, order, queue, out);
                    return;
                }
                Holder::Owner(_) if self.rest.delays(now, page) => {
                    let order = None;
                    self.active.insert(page, Active { order, queue });
                    return;
                }
                Holder::Owner(_) => self.share(page, asked.access, out),
                Holder::Untouched | Holder::Shared => {}
            }
            if asked.node == self.local {
                self.take(now, page, asked.access, out);
            } else if self.table.get(page).holder == Holder::Untouched {
                self.give_zeroes(page, asked.node, out);
            } else if asked.access == Access::Read {
                self.lease_to(page, asked, out);
            } else {
                self.give_to(page, asked, out);
            }
            queue.pop_front();
        }
    }

    /// How the owner has to give the page back for what was asked.
    fn order(&self, books: Page, asked: Asked) -> Order {
        let wanted = match asked.access {
            Access::Read => sum(asked.clock, books.doublings),
            Access::Write => Stamp::ZERO,
        };
        Order {
            grant: books.end,
            access: asked.access,
            wanted,
        }
    }

    fn recall_from(
        &mut self,
        owner: NodeId,
        page: PageIndex,
        order: Order,
        queue: Queue,
        out: &mut Out,
    ) {
        let recall = Message::Recall { page, order };
        self.send(owner, recall, Attach::Nothing, out);
        let order = Some(order);
        self.active.insert(page, Active { order, queue });
    }

    /// This node, owner and home, lets others have what it wrote. It gives up the right to write;
    /// before a page is given away it is unmapped anyway.
    fn share(&mut self, page: PageIndex, access: Access, out: &mut Out) {
        if access == Access::Read {
            out.push(Command::Protect { page });
        }
        self.rest.forget(page);
        let books = self.table.get(page);
        let shared = Page {
            state: State::Source,
            holder: Holder::Shared,
            written: self.clock,
            end: books.end.max(self.clock),
            ..books
        };
        self.table.set(page, shared);
    }

    /// This node's own request is served.
    fn take(&mut self, now: Tick, page: PageIndex, access: Access, out: &mut Out) {
        let books = self.table.get(page);
        if books.holder == Holder::Untouched || access == Access::Write {
            self.advance(books.end.after(), out);
            if self.halted {
                return;
            }
            let rights = Rights::Write;
            out.push(match books.holder {
                Holder::Untouched => Command::MapZero { page, rights },
                Holder::Shared | Holder::Owner(_) => Command::Unprotect { page },
            });
            let owned = Page {
                state: State::Owned,
                holder: Holder::Owner(self.local),
                doublings: 0,
                ..books
            };
            self.table.set(page, owned);
            self.rest.begin(now, page);
        }
        self.end_request(page);
        out.push(Command::Wake { page });
    }

    fn give_zeroes(&mut self, page: PageIndex, node: NodeId, out: &mut Out) {
        let grant = Grant {
            rights: Rights::Write,
            written: Stamp::ZERO,
            end: Stamp::ZERO,
            source: Source::Zero,
        };
        let books = Page {
            holder: Holder::Owner(node),
            ..Page::default()
        };
        self.table.set(page, books);
        self.send(node, Message::Grant { page, grant }, Attach::Nothing, out);
    }

    fn lease_to(&mut self, page: PageIndex, asked: Asked, out: &mut Out) {
        let books = self.table.get(page);
        let end = sum(books.written.max(asked.clock), books.doublings).max(books.end);
        let doublings = books.doublings.saturating_add(1).min(Self::MOST_DOUBLINGS);
        self.table.set(
            page,
            Page {
                end,
                doublings,
                ..books
            },
        );
        self.grant_to(page, asked, Rights::Read, end, out);
    }

    fn give_to(&mut self, page: PageIndex, asked: Asked, out: &mut Out) {
        let books = self.table.get(page);
        let held = asked.held == books.written;
        let frame = if held {
            FrameFate::Drop
        } else {
            FrameFate::Keep
        };
        out.push(Command::Unmap { page, frame });
        // This node could read the page up to now without a lease.
        let end = books.end.max(self.clock);
        let given = Page {
            state: State::Invalid,
            holder: Holder::Owner(asked.node),
            end,
            doublings: 0,
            ..books
        };
        self.table.set(page, given);
        self.grant_to(page, asked, Rights::Write, end, out);
    }

    fn grant_to(
        &mut self,
        page: PageIndex,
        asked: Asked,
        rights: Rights,
        end: Stamp,
        out: &mut Out,
    ) {
        let written = self.table.get(page).written;
        let (source, attach) = if asked.held == written {
            (Source::Held, Attach::Nothing)
        } else {
            (Source::Attached, Attach::Page)
        };
        let grant = Grant {
            rights,
            written,
            end,
            source,
        };
        self.send(asked.node, Message::Grant { page, grant }, attach, out);
    }

    /// The page comes back.
    pub(super) fn returned(
        &mut self,
        now: Tick,
        from: NodeId,
        page: PageIndex,
        written: Stamp,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Return";
        self.check_homed(page, message)?;
        let books = self.table.get(page);
        let refusal = Violation::Unexpected {
            page,
            message,
            state: books.holder.name(),
        };
        let order = self.active.get(&page).and_then(|active| active.order);
        let (Some(order), true) = (order, books.holder == Holder::Owner(from)) else {
            return Err(refusal);
        };
        // The owner's clock passed the end of its grant when it got the page.
        if written <= books.end {
            return Err(stale(page, message, written, books.end.after()));
        }
        self.advance(written, out);
        let rights = Rights::Read;
        out.push(Command::Store { page });
        out.push(Command::Map { page, rights });
        let shared = Page {
            state: State::Source,
            holder: Holder::Shared,
            written,
            end: written.max(order.wanted),
            ..books
        };
        self.table.set(page, shared);
        let active = self.active.remove(&page);
        let queue = active.map_or_else(VecDeque::new, |active| active.queue);
        self.serve(now, page, queue, out);
        Ok(())
    }

    /// An owner would rather not keep a page homed here. If it has it no more, or is giving it back
    /// already, there is nothing to do.
    pub(super) fn evict_asked(
        &mut self,
        from: NodeId,
        page: PageIndex,
        grant: Stamp,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Evict";
        self.check_homed(page, message)?;
        let books = self.table.get(page);
        if grant > books.end {
            return Err(stale(page, message, grant, books.end));
        }
        let has_it = books.holder == Holder::Owner(from) && grant == books.end;
        if has_it && !self.active.contains_key(&page) {
            let order = Order {
                grant,
                access: Access::Write,
                wanted: Stamp::ZERO,
            };
            self.recall_from(from, page, order, VecDeque::new(), out);
        }
        Ok(())
    }

    fn check_homed(&self, page: PageIndex, message: &'static str) -> Result<(), Violation> {
        self.check_home(self.local, page, message)
    }
}

/// The end of a lease that begins at `from` and was doubled so often. None goes past the last time
/// that a node may show.
fn sum(from: Stamp, doublings: u8) -> Stamp {
    let length = Lease::SHORTEST << doublings;
    Stamp(from.0.saturating_add(length)).min(Lease::LAST)
}

pub(super) fn stale(
    page: PageIndex,
    message: &'static str,
    got: Stamp,
    expected: Stamp,
) -> Violation {
    Violation::Stale {
        page,
        message,
        got: got.0,
        expected: expected.0,
    }
}
