//! Ivy after Li and Hudak: write-invalidate with dynamic distributed managers.
//!
//! No node is home to a page for good. One node *owns* it, and ownership moves to whoever faults,
//! on reads too. Every node remembers a *probable owner*, its *father*, and sends its requests
//! there. Sequentially consistent at the granularity of pages, like
//! [`Directory`](super::Directory): a page has many readers or one writer at any time. The owner
//! of an untouched page is its home in the [`HomeMap`](super::HomeMap); that is all the map is for.
//!
//! # A transaction
//! ```text
//! requester          forwarders            owner           other sharers
//!     | --- Request ----> ... --- Request --> |                  |
//!     |                                       | Protect or Unmap |
//!     | <------------------ Token ----------- |                  |
//!     | --- Invalidate (to write) -----------------------------> | Unmap
//!     | <------------------------------------ Acknowledge ------ |
//!     | Map, Wake
//! ```
//! The *Token* is the ownership. It carries the page's bytes unless the requester holds them or
//! the page was never touched, and it names all other nodes that may hold copies. It goes from the
//! old owner to the new one directly, however many forwarders the request had. The new owner takes
//! the copies away, all at once, before it writes.
//!
//! # The queue
//! Fathers make a tree whose root is the last in the queue for the token, or the owner if no one
//! waits. A requester becomes its own father, so a root. A node that gets a request makes the
//! requester its father; if it was a root, it remembers the request as the *next* to be served,
//! else it sends the request on to its old father. So a node has at most one next, and every
//! request visits a node at most once: a chain has at most as many hops as there are other nodes,
//! and each hop shortens later ones. This is the distributed queue of Naimi and Trehel.
//!
//! # States of a page on a node, and what changes them
//! `+` means that a request is pending, or the acknowledgements of the owner.
//!
//! | state | input | next | commands |
//! |---|---|---|---|
//! | any copy | fault that its rights allow | same | Map, Wake |
//! | Invalid, Shared | other fault | + | Request to the father |
//! | Untouched | fault | Owner, writes | MapZero, Wake |
//! | Owner, reads | write fault | Owner+ | Invalidates; without sharers Unprotect, Wake at once |
//! | + | fault | + | none; a write fault during a read is taken up after it |
//! | Invalid+ | Token, zero | Owner, writes | MapZero, Wake |
//! | Invalid+ read | Token with the page | Owner, reads | Store, Map, Wake |
//! | Invalid+ write | Token with the page | Owner+ | Store, Invalidates; without sharers Map, Wake at once |
//! | Shared+ | Token | Owner+ | Invalidates; without sharers Unprotect, Wake at once |
//! | Owner+ | the last Acknowledge | Owner, writes | Map or Unprotect, Wake |
//! | Shared, Shared+ | Invalidate | Invalid, Invalid+ | Unmap, Acknowledge |
//! | Invalid, Invalid+ | Invalidate | same | Acknowledge: the copy was evicted |
//! | Shared | eviction wanted | Invalid | Unmap |
//! | Owner | eviction wanted | same | none: no one else has to take the page |
//! | not a root | Request | same | Request to the old father |
//! | root, Owner | Request to read, in its turn | Shared | Protect, Token |
//! | root, Owner | Request to write, in its turn | Invalid | Unmap keeping the bytes, Token |
//! | root, Untouched | Request | Invalid | Token, zero |
//! | root, + | Request | same | none; it is the next |
//!
//! Every other pair of state and message, every wrong sender, version or payload is a
//! [`Violation`], found before anything is changed.
//!
//! # Rest
//! A page that came stays for a moment ([`Ivy::REST`]) before it is handed on, so that the woken
//! thread gets its access done. A reader that asks for a page that is only read is served at once,
//! as nothing is taken from anyone.
//!
//! # Versions
//! A version stands for contents among the sharers that the owner knows of, and for nothing else:
//! a requester that the token's list does not name gets the bytes, whatever version it had. So not
//! even used-up numbers make old bytes pass for new ones.
//!
//! # Why state and mapping change as one
//! As in the directory protocol: [`handle`](CoherenceProtocol::handle) changes the state and says
//! the mapping in commands, which are carried out before the next input. An invalidation never
//! falls between a token and its mapping, and an owner is never invalidated. A pinned page is
//! outside of this: the driver holds back whole messages about it until it is unpinned, a request
//! like an invalidation. So nothing is half done while a page is pinned, nothing has to be tried
//! again, and there is no moment between looking for a pin and acting on its absence.
//!
//! # What it trusts a peer with
//! Much more than the directory protocol does: there is no home to ask.
//! - *Tokens.* A node that waits for a page cannot know its owner, so it believes the first peer
//!   that sends a token which fits. A lying peer can give a page any contents, and two owners.
//! - *Sharers.* The list of sharers in a token is believed. A peer that leaves one out lets that
//!   one read old bytes for ever.
//! - *Requests.* A request names its requester, and forwarders are believed about it. A lying peer
//!   can have a page sent to a node that did not ask. That node refuses it, the link between two
//!   honest nodes ends, and the page's token is lost.
//! - *Acknowledgements.* A sharer is believed about having dropped its copy.
//! - *Invalidations.* A sharer drops its copy for any peer that names its version. That costs a
//!   fetch, or a link: an upgrade may be answered without data just then, and is refused.
//!
//! The damage of each is to the page that the message names, or the end of a link, after which the
//! nodes halt. It never reaches another page's contents. Where peers are not trusted, use the
//! directory protocol.
//!
//! # Failure
//! After [`Input::Lost`] the node is halted for good: it remembers faults and answers none, ignores
//! messages, maps and gives nothing. What is mapped stays valid, because whoever wanted to take it
//! needs an answer that never comes.

mod message;
mod owner;
mod requester;
mod rest;
mod sharer;
mod table;
#[cfg(test)]
mod tests;
mod view;
mod wire;

use std::collections::BTreeMap;

use giantvm_core::{NodeId, NodeSet, PageIndex};

pub use message::{Message, Request, Source, Token, Want};
pub use table::BYTES_PER_PAGE;
pub use view::Owned;

use requester::Pending;
use rest::Rests;
use table::Table;

use super::{
    CoherenceProtocol, Command, Input, PageMessage, Rights, Setup, Tick, Violation, checks,
};

type Out = Vec<Command<Message>>;

/// One node's share of the Ivy protocol. See the [module](self).
///
/// ```
/// use giantvm_core::{NodeId, NodeSet, PageIndex};
/// use giantvm_dsm::protocol::{
///     Access, CoherenceProtocol, Command, HomeMap, Input, Ivy, Rights, Setup, Tick,
/// };
///
/// let nodes = NodeSet::first(2);
/// let setup = Setup { local: NodeId::ZERO, nodes, pages: 8, homes: HomeMap::even(8, nodes) };
/// let mut node = Ivy::new(setup);
///
/// // Page 0 begins here and is untouched: a fault on it is answered without any message.
/// let (page, access) = (PageIndex(0), Access::Read);
/// let mut commands = Vec::new();
/// node.handle(Tick(0), Input::Fault { page, access }, &mut commands)?;
/// let rights = Rights::Write;
/// assert_eq!(commands, [Command::MapZero { page, rights }, Command::Wake { page }]);
/// # Ok::<(), giantvm_dsm::protocol::Violation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ivy {
    local: NodeId,
    nodes: NodeSet,
    rest: Tick,
    table: Table,
    /// Requests of this node and its waits for sharers, at most one a page.
    pending: BTreeMap<PageIndex, Pending>,
    /// Who gets a page after this node, at most one a page.
    next: BTreeMap<PageIndex, Request>,
    rests: Rests,
    halted: bool,
}

impl Ivy {
    /// How long a page stays where it came: 4 us, in nanoseconds. That is what it takes to wake a
    /// thread whose processor is free. The engine sees to it that others get their access done too; a
    /// driver that does not wants some times as much.
    pub const REST: Tick = Tick(4_000);

    /// A node whose pages rest for `rest` instead of [`Ivy::REST`].
    #[must_use]
    pub fn with_rest(setup: Setup, rest: Tick) -> Self {
        Self {
            local: setup.local,
            nodes: setup.nodes,
            rest,
            table: Table::new(setup.local, setup.homes, setup.pages),
            pending: BTreeMap::new(),
            next: BTreeMap::new(),
            rests: Rests::default(),
            halted: false,
        }
    }

    /// Whether a peer was lost, so that no fault is answered any more.
    #[must_use]
    pub const fn is_halted(&self) -> bool {
        self.halted
    }

    fn receive(
        &mut self,
        now: Tick,
        from: NodeId,
        message: Message,
        out: &mut Out,
    ) -> Result<(), Violation> {
        match message {
            Message::Request { page, request } => self.requested(now, page, request, out),
            Message::Token { page, token } => self.token(now, from, page, token, out),
            Message::Invalidate { page, version } => self.invalidate(from, page, version, out),
            Message::Acknowledge { page, version } => {
                self.acknowledge(now, from, page, version, out)
            }
        }
    }

    fn check_page(&self, page: PageIndex) -> Result<(), Violation> {
        checks::page(page, self.table.pages())
    }

    /// The refusal of a message, naming the page's state.
    fn unexpected(&self, page: PageIndex, message: &'static str) -> Violation {
        Violation::Unexpected {
            page,
            message,
            state: self.state_name(page),
        }
    }
}

impl CoherenceProtocol for Ivy {
    type Message = Message;

    const NAME: &'static str = "ivy";

    fn new(setup: Setup) -> Self {
        Self::with_rest(setup, Self::REST)
    }

    fn handle(
        &mut self,
        now: Tick,
        input: Input<Message>,
        commands: &mut Vec<Command<Message>>,
    ) -> Result<(), Violation> {
        match input {
            Input::Fault { page, access } => {
                self.check_page(page)?;
                self.fault(now, page, access, commands);
            }
            Input::Lost { .. } => self.halted = true,
            Input::Depart(_) => {}
            Input::Evict { page } => {
                self.check_page(page)?;
                self.evict(page, commands);
            }
            // No copy outlives a write, so physical time is all the order there is.
            Input::Heard { .. } => {}
            _ if self.halted => {}
            Input::Message {
                from,
                message,
                payload,
            } => {
                let (page, name) = (message.page(), message.name());
                self.check_page(page)?;
                checks::sender(from, self.nodes.without(self.local), page, name)?;
                checks::payload(payload, message.contents(), page, name)?;
                self.receive(now, from, message, commands)?;
            }
            Input::Timeout => self.timeout(now, commands),
        }
        Ok(())
    }

    fn next_timeout(&self) -> Option<Tick> {
        self.rests.next().filter(|_| !self.halted)
    }

    fn rights(&self, page: PageIndex) -> Option<Rights> {
        self.table.get(page).rights
    }

    fn in_flight(&self) -> usize {
        self.pending.len() + self.next.len()
    }
}
