//! The queue for a page, and its owner's role: passing the token on.

use giantvm_core::{NodeSet, PageIndex};

use super::message::{Message, Request, Source, Token, Want};
use super::table::Part;
use super::{Ivy, Out};
use crate::mutants::mutant;
use crate::protocol::{Access, Attach, Command, FrameFate, Rights, Tick, Violation};

impl Ivy {
    /// A request came, from its requester or a forwarder.
    pub(super) fn requested(
        &mut self,
        now: Tick,
        page: PageIndex,
        request: Request,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let (part, requester) = (self.table.get(page), request.requester);
        // No correct node's request comes back to it, or twice to one node on its way.
        let first = requester != self.local && requester != part.father;
        if !first || !self.nodes.contains(requester) {
            return Err(self.unexpected(page, "Request"));
        }
        let father = requester;
        if !mutant!(IvyKeepsItsFather) {
            self.table.set(page, Part { father, ..part });
        }
        if part.father != self.local {
            out.push(Command::Send {
                to: part.father,
                message: Message::Request { page, request },
                attach: Attach::Nothing,
            });
            return Ok(());
        }
        // A root without the token is pending: it is the last in the queue so far.
        if !part.token || self.pending.contains_key(&page) {
            if !mutant!(IvyLosesTheNext) {
                self.next.insert(page, request);
            }
        } else if takes_away(part, request) && !self.rests.is_over(page, now) {
            self.next.insert(page, request);
            self.rests.notice(page);
        } else {
            self.hand_over(page, request, out);
        }
        Ok(())
    }

    /// The page came to be ours: the next in the queue has to wait for the woken threads.
    pub(super) fn arrived(&mut self, page: PageIndex, out: &mut Out) {
        let Some(&request) = self.next.get(&page) else {
            return;
        };
        if takes_away(self.table.get(page), request) {
            self.rests.notice(page);
        } else {
            self.next.remove(&page);
            self.hand_over(page, request, out);
        }
    }

    /// Serves those whose pages have rested.
    pub(super) fn timeout(&mut self, now: Tick, out: &mut Out) {
        while let Some(page) = self.rests.take_due(now) {
            // A page that is to be written now rests once more when it may be.
            if self.pending.contains_key(&page) {
                continue;
            }
            if let Some(request) = self.next.remove(&page) {
                self.hand_over(page, request, out);
            }
        }
    }

    /// Gives the token, and what goes with it, to the requester.
    fn hand_over(&mut self, page: PageIndex, request: Request, out: &mut Out) {
        let Request { requester, want } = request;
        let part = self.table.get(page);
        let version = part.version;
        let (source, attach) = match want {
            _ if part.is_untouched() => (Source::Zero, Attach::Nothing),
            Want::Upgrade(_) if mutant!(IvyTrustsOldCopies) => (Source::Held, Attach::Nothing),
            Want::Upgrade(held) if held == version && part.sharers.contains(requester) => {
                (Source::Held, Attach::Nothing)
            }
            Want::Read | Want::Write | Want::Upgrade(_) => (Source::Attached, Attach::Page),
        };
        let mut sharers = part.sharers.without(requester);
        let mut rights = part.rights;
        match (rights, want.access()) {
            (None, _) => {}
            (Some(held), Access::Read) => {
                if held == Rights::Write {
                    out.push(Command::Protect { page });
                }
                rights = Some(Rights::Read);
                if !mutant!(IvyForgetsTheGiver) {
                    sharers = sharers.with(self.local);
                }
            }
            (Some(_), Access::Write) => {
                let frame = match attach {
                    Attach::Page => FrameFate::Keep,
                    Attach::Nothing => FrameFate::Drop,
                };
                out.push(Command::Unmap { page, frame });
                rights = None;
            }
        }
        self.table.set(
            page,
            Part {
                rights,
                token: false,
                sharers: NodeSet::EMPTY,
                ..part
            },
        );
        self.rests.end(page);
        let token = Token {
            version,
            sharers,
            source,
        };
        out.push(Command::Send {
            to: requester,
            message: Message::Token { page, token },
            attach,
        });
    }
}

/// Whether local threads may do less with the page once the request is served.
fn takes_away(part: Part, request: Request) -> bool {
    match request.want.access() {
        Access::Read => part.rights == Some(Rights::Write),
        Access::Write => part.rights.is_some(),
    }
}
