//! The default protocol: a home-based, blocking directory with write-invalidate.
//!
//! Every page has a *home* that knows who holds it and runs one transaction of the page after the
//! other: at first its *birth home* (see [`HomeMap`](super::HomeMap)), then whoever writes it most. Sequentially consistent at the granularity of pages:
//! a page has many readers or one writer at any time, on all nodes together.
//!
//! # Roles
//! A node is *requester* of the pages its threads fault on, *holder* of the pages it has copies
//! of, and *home* to its share of the pages; for one page it may be all three. One holder is the
//! *owner*: it sends the data. Messages of a node to itself never leave
//! [`handle`](CoherenceProtocol::handle).
//!
//! # A transaction
//! ```text
//! requester                 home                      owner            other holders
//!     | --- Request ---------> |                         |                   |
//!     |                        | --- Invalidate -----------------------------> | Unmap
//!     |                        | --- Fetch ------------> | Protect or Unmap  |
//!     | <--- Grant ----------- |                         |                   |
//!     | <------------------------------------- Data ---- |                   |
//!     | <------------------------------------------------------ Acknowledge --- |
//!     | Map, Wake              |                         |                   |
//!     | --- Done ------------> | the next one            |                   |
//! ```
//! *Grant* names the source of the data and the nodes to await, so grant, data and
//! acknowledgements may arrive in any order. The requester sends *Done* only when it has all of
//! them, and the home starts nothing else before: when a transaction starts, no message of an
//! older one is under way. That holds whatever the order of arrival across senders, receivers and
//! traffic classes. Within one class from one node to another the transport keeps the order, and
//! the protocol needs this of what a node tells its home: a *Done* arrives before the node's next
//! *Request* or *Evict*, and an *Evict* before its next *Request*. None of them has a payload, so a
//! driver that chooses the class by the payload gives them the same one.
//!
//! # Requester: state of the local copy, and what changes it
//! A copy is `Invalid`, `Read` or `Write`; `+` means that a request is pending.
//!
//! | state | input | next | commands |
//! |---|---|---|---|
//! | any copy | fault that its rights allow | same | Map, Wake |
//! | Invalid, Read | other fault | + | Request to home |
//! | + | fault | + | none; a write fault during a read is requested after it |
//! | Invalid+ | Data | + | Store |
//! | Invalid+ | Grant with the page attached | + | Store |
//! | Invalid+, Read+ | Grant, Acknowledge | + | none |
//! | Invalid+ | Redirect | + | Request to the node that it names |
//! | Invalid+ | the last of Grant, Data, Acknowledges | Read or Write | Map (MapZero if untouched), Done, Wake |
//! | Read+ | the last of Grant, Acknowledges | Write | Unprotect, Done, Wake |
//! | + | Hurry | + | none |
//! | other | Hurry | same | none; the Done is on its way |
//!
//! # Holder
//! | state | input | next | commands |
//! |---|---|---|---|
//! | Write | Fetch for a read | Read | Protect, Data |
//! | Read | Fetch for a read | Read | Data |
//! | Read, Write | Fetch for a write | Invalid | Unmap keeping the bytes, Data |
//! | Read | Invalidate | Invalid | Unmap, Acknowledge |
//! | Read, Write | eviction wanted, no request pending, first time | same | Evict to home |
//! | Read | Release | Invalid | Unmap, Done |
//! | Read, Write | Release that takes the page over | Invalid | Unmap keeping the bytes, Returned |
//! | Write | Move | same, and the home; a wish to be rid of the copy is void | Done |
//!
//! A pending request stays as it is: an upgrade whose copy went gets data, since the home serves
//! it by what the directory says at that time. The wish to be rid of a copy goes with the copy.
//!
//! # Home
//! | directory | Request | next | messages |
//! |---|---|---|---|
//! | Untouched | any | Exclusive(requester) | Grant Write, zero |
//! | Exclusive(owner) | read | Shared(owner; owner, requester) | Fetch, Grant Read |
//! | Exclusive(owner) | write | Exclusive(requester) | Fetch, Grant Write |
//! | Shared(owner; sharers) | read | Shared(owner; sharers + requester) | Fetch, Grant Read |
//! | Shared(owner; sharers) | write of a sharer | Exclusive(requester) | Invalidates, Grant Write, no data |
//! | Shared(owner; sharers) | write of another | Exclusive(requester) | Fetch, Invalidates, Grant Write |
//! | busy | any | same | none; queued, of each node at most one Request and one Evict |
//! | busy with an access, its Grant calm | the first that is queued | same, no longer calm | Hurry to the requester |
//! | busy with an access | Done | not busy | the next in the queue, after a rest |
//! | busy with a Release | Done, or Returned if it takes over | not busy | the next in the queue |
//!
//! | directory | Evict, in its turn | next | messages |
//! |---|---|---|---|
//! | the node has no copy (any more) | | same | none |
//! | Shared with others | | Shared without the node; if it was the owner, another sharer is | Release |
//! | it has the only copy | | Exclusive(home) | Release that takes over; Returned |
//! | the birth home itself has the only copy | | same | none: it has nowhere to go |
//! | another home itself has the only copy | | it is offered to the birth home | Yield |
//!
//! The home's own copy is treated on the spot: if it is the owner, the page travels with the
//! Grant; if it is a sharer, it is unmapped before the Grant goes, or when its own Evict's turn
//! comes. Of other sharers the home is the next owner before any other.
//!
//! With Returned the home has the page for writing. If its own threads have asked for it meanwhile,
//! they are woken, and their Request leaves the queue.
//!
//! # A Done that may wait
//! A Done is of use to those who wait for the page, and mostly nobody does. So a Grant can be *calm*: no
//! request is queued, and nobody else was served a moment ago (`calm.rs`). The requester's Done may then
//! [linger](crate::protocol::Command::Linger) until there is more to say to the home. When somebody has to wait for it after all, the home
//! says *Hurry*, once; so it does to all when a node is leaving. Either it arrives before the request is complete, and the Done is sent at once; or after,
//! and then it is a frame from the home, for which what lingers goes. So nobody waits for a Done that waits.
//!
//! # Moving homes
//! A home that does not use its page costs every other node two messages a fault. So it counts how
//! often in a row one node was allowed to write, in the entry itself; nodes that write by turns never
//! get ahead, and their page stays. Once a node is ahead by [`Directory::MOVE_AFTER`] and
//! holds the page for writing, with no transaction under way and no one waiting, it becomes the home:
//!
//! ```text
//! home, born so                new home           home, not born so      birth home          new home
//!     | --- Move ---------------> |                    | --- Yield ----------> |                 |
//!     | <-------------- Done ---- |                    | <--------- Recall --- |                 |
//!     | whoever has asked meanwhile:                   | --- Pass -----------> | --- Move -----> |
//!     | --- Redirect ---> requester                    | Redirect to who waits | <---- Done ---- |
//! ```
//!
//! | who is the home | what happens | next | messages |
//! |---|---|---|---|
//! | the birth home | the owner is ahead | it moves | Move to the owner |
//! | it moves | Request | same | none; queued |
//! | it moves | Done of the new home | another node | Redirect to all in the queue |
//! | another node | it has the only copy, and wants to be rid of it | same | Yield; serves no one |
//! | another node | the owner is ahead | same | Yield; serves no one |
//! | another node | Yield, at the birth home | it is recalled | Recall |
//! | it is recalled | Request, at the birth home | same | none; queued |
//! | it is recalled | Recall, at the home | on its way | Pass, Redirect to all in the queue, and the home's own Evict |
//! | on its way | Pass; the birth home or the sender holds the page | the birth home | the first in the queue |
//! | on its way | Pass; a third node holds the page | it moves | Move to that node |
//! | another node | Request, at the birth home | same | Redirect to the home |
//! | anyone | Request, at a node that was the home once | same | Redirect to the birth home |
//! | anyone | Evict, at the birth home or one that was the home once | same | none: the copy has gone |
//! | anyone | Redirect, at the requester | same | Request to whom it names |
//!
//! Each node keeps whom it takes for a page's home, in six bits of its word; it asks that node, and
//! believes no other. That is right for whoever has a copy, because a home only goes while one node
//! holds the page, to that node or from it: so there are no books to carry over but that one name,
//! and no holder has to be told. Who has no copy may be wrong; then its Request comes back as a
//! Redirect. That ends: the birth home names a home only after that home's Done and before its
//! Recall, and a recalled home goes only after its Recall, when the birth home already keeps whoever
//! asks. What a node told its home before goes the same way as its Request, so it is not overtaken;
//! what of it comes late is void, as its copy has gone. The birth home and the last home take up
//! themselves what they had asked of one another.
//!
//! # Departures
//! A node can leave, and others go on ([`Input::Depart`]). It names an *heir*, which becomes what the node
//! was to all others: the birth home of its pages. Everything else goes by what there is anyway: homes
//! that go back to their birth home, and copies that are given up. So a page is handed over as a transaction
//! of its own, between others, and no other node has to know when.
//!
//! | phase | what the node that leaves does | it ends when |
//! |---|---|---|
//! | recalling | Reclaim to the homes of the pages that it is birth home to; moves no home away | all are home |
//! | announcing | Heir to its heir, then to all others | all agreed |
//! | draining | it is the home of pages born at its heir, and yields them; gives its copies up | it has no part in any page, no request and no transaction |
//! | closing | it is home to nothing; Leave to its heir, then to all others | all agreed |
//! | left | sends on whoever still asks | it comes back: Back to all |
//!
//! | node | input | next | messages |
//! |---|---|---|---|
//! | home, asked for the page | Reclaim | it takes the page for writing if it is not its only holder, and yields it before it serves another | Yield |
//! | no home any more | Reclaim | same: the page is on its way | none |
//! | any | Heir | noted; the heir is the birth home | Agree, once no other node is leaving |
//! | the heir | Heir | noted; whom it took for homes of those pages it forgets | Agree, once it waits for no answer of any of those |
//! | any | Leave | noted; who has asked that node asks its heir; the heir is home to what was never touched | Agree, once no transaction is left that the node had a part in |
//! | any | the loss of a node that left | same, without it | none |
//! | leaving, draining | page that it is home to, with one holder | yielded, before another is served | Yield; its own copy follows by Evict |
//! | leaving, draining | page that it is home to, with sharers | it takes the page for writing, then as above | its own Request |
//! | leaving, closing or left | fault | + | none before it is back |
//!
//! *Mutual exclusion* is that of the transactions: a home is offered only between two of them, and serves
//! no one until its birth home has answered. *Nothing is forgotten*: a page that comes to the node while it
//! drains is noted with its arrival, so one pass over all pages does. Pages that were never touched cost no
//! message: whoever takes a node that has left for their home means its heir, as all know before it leaves.
//! That is why those who know come first: the heir knows that it is the birth home before anyone could
//! ask it, and that it is the home before any other node asks it instead of the one that left; and all know
//! the heir before it acts as the birth home. Until the node has left, whoever is sent on is sent to the
//! node itself, which all take for right.
//!
//! *What is under way* when the node closes: requests to it, which it answers by sending them on, and which
//! are repeated at its heir in any case; what it sent as a holder, for which a transaction is not done, so
//! that its home has not agreed. Hence once all have agreed nothing of it is missed.
//!
//! *Bounds*: the driver says with how many pages at a time to go on, and 2^14 are looked at at most; of
//! each node one notice waits for its answer. The heir's table is gone through once, in one input.
//! A node that has left, or comes back, is never home to a page again, and no heir: what others noted of
//! pages whose home it was stands for its heir from then on, so nobody could tell that it is the home anew. One may leave at a
//! time: of two that begin together, neither may ever be let go, and both go on as before. A node
//! that leaves is believed that it has nothing left, like a home about its pages, but for pages that the heir
//! holds itself.
//!
//! Every other pair of state and message, every wrong sender, version, transaction or payload is
//! a [`Violation`], found before anything is changed.
//!
//! # Rest
//! When requests queue up for a page, each requester keeps it for a moment ([`Directory::REST`])
//! before the home serves the next. Otherwise the page would leave before the woken thread ran
//! its one instruction, and fault and transfer could repeat without end. A page that no one waits
//! for passes on at once.
//!
//! # Why state and mapping change as one
//! [`handle`](CoherenceProtocol::handle) changes the state and says the mapping in commands; the
//! driver carries them out completely before the next input. So no invalidation comes between the
//! two, whatever thread it arrives on: it is the next input. A holder's acknowledgement or data is
//! a command after its Unmap or Protect, so it exists only when local access has ended; a
//! requester maps only when it has all of these in hand. Hence no two nodes' mappings ever
//! conflict, at any instant.
//!
//! # What it trusts a peer with
//! No message of one bad peer makes a correct home grant a page twice, nor a correct requester map
//! what its home did not grant. But a home is believed about its own pages, a holder about having
//! dropped its copy, and a requester about having all it awaited: a peer that lies there breaks
//! the coherence of the pages it is home to or takes part in, and no one can tell from messages. That
//! a page's home moves to a node is the birth home's word, and takes that node's own use of the page.
//! Data or an acknowledgement that overtakes the grant is believed until the grant contradicts
//! it; the page is not mapped meanwhile. The refused message is then the later of the two.
//!
//! # Failure
//! After [`Input::Lost`] of a node that has not left, the node is halted for good: it remembers faults and answers none, ignores
//! messages, maps and grants nothing. What is mapped stays valid, because whoever wanted to take
//! it needs an answer that never comes. A halted node ends up stopping the others, as they await
//! it or lose it in turn.

mod births;
mod calm;
mod evict;
mod exit;
mod holder;
mod home;
mod lead;
mod message;
mod moves;
mod notices;
mod plan;
mod press;
mod receive;
mod requester;
mod stray;
mod table;
#[cfg(test)]
mod tests;
mod view;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU8;

use giantvm_core::{NodeId, NodeSet, PageIndex, PageRange};

pub use message::{Grant, Message, Source, Transaction};
pub use table::{BYTES_PER_PAGE, Sharing};
pub use view::EntryView;

use births::Births;
use calm::Calm;
use exit::Exit;
use home::Active;
use notices::Notice;
use requester::Pending;
use table::{Copies, Entries};

use crate::mutants::mutant;

use super::{
    Attach, CannotDepart, CoherenceProtocol, Command, Departure, Input, PageMessage, Rights, Setup,
    Tick, Violation, checks,
};

type Out = Vec<Command<Message>>;

/// One node's share of the directory protocol. See the [module](self).
///
/// ```
/// use giantvm_core::{NodeId, NodeSet, PageIndex};
/// use giantvm_dsm::protocol::{
///     Access, CoherenceProtocol, Command, Directory, HomeMap, Input, Rights, Setup, Tick,
/// };
///
/// let nodes = NodeSet::first(2);
/// let setup = Setup { local: NodeId::ZERO, nodes, pages: 8, homes: HomeMap::even(8, nodes) };
/// let mut node = Directory::new(setup);
///
/// // Page 0 is homed here and untouched: a fault on it is answered without any message.
/// let (page, access) = (PageIndex(0), Access::Read);
/// let mut commands = Vec::new();
/// node.handle(Tick(0), Input::Fault { page, access }, &mut commands)?;
/// let rights = Rights::Write;
/// assert_eq!(commands, [Command::MapZero { page, rights }, Command::Wake { page }]);
/// # Ok::<(), giantvm_dsm::protocol::Violation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Directory {
    local: NodeId,
    nodes: NodeSet,
    births: Births,
    rest: Tick,
    /// How often in a row a node has to be allowed to write to become a page's home; `None` where
    /// homes do not move.
    moves: Option<NonZeroU8>,
    copies: Copies,
    /// Requests of this node, at most one a page.
    pending: BTreeMap<PageIndex, Pending>,
    entries: Entries,
    /// Pages that are busy: those homed here, and those whose home is on its way here.
    active: BTreeMap<PageIndex, Active>,
    /// Busy pages that wait for a time, not a message.
    resting: BTreeSet<(Tick, PageIndex)>,
    /// Pages whose home was told that this node would rather not keep its copy.
    leaving: BTreeSet<PageIndex>,
    /// Who was served last, of the pages homed here.
    calm: Calm,
    /// Pages whose home this node is not to be any more, nor a holder if it is leaving itself.
    pressed: BTreeSet<PageIndex>,
    /// This node's departure.
    exit: Exit,
    /// What others said about theirs, and no answer was given to; at most one of each.
    notices: BTreeMap<NodeId, Notice>,
    /// Nodes that are not needed for anything.
    left: NodeSet,
    /// Messages of this node to itself; empty between inputs.
    own: VecDeque<Message>,
    /// The time of the input that is handled; zero between inputs.
    now: Tick,
    halted: bool,
}

impl Directory {
    /// How long a requester keeps a page that others wait for: 4 us, in nanoseconds. That is what it
    /// takes to wake a thread whose processor is free. The engine sees to it that others get their
    /// access done too; a driver that does not wants some times as much.
    pub const REST: Tick = Tick(4_000);

    /// How often in a row a node has to be allowed to write a page to become its home.
    ///
    /// A move costs two messages, or five if the home had moved before, and two for each node that
    /// has to be told when it asks next; then every fault of the new home and every one that it
    /// answers takes two messages fewer or more. So this many writes pay for the move.
    pub const MOVE_AFTER: NonZeroU8 = NonZeroU8::new(8).unwrap();

    /// A node whose contended pages rest for `rest` instead of [`Directory::REST`], and whose pages
    /// stay at the homes that the setup gives them.
    #[must_use]
    pub fn with_rest(setup: Setup, rest: Tick) -> Self {
        Self::with_moves(setup, rest, None)
    }

    /// A node with a rest of its own, and with homes that move to a node that was allowed to
    /// write so often in a row, at most 63 times, instead of [`Directory::MOVE_AFTER`]; `None` if they stay.
    /// All nodes of a cluster have to be told the same.
    #[must_use]
    pub fn with_moves(setup: Setup, rest: Tick, after: Option<NonZeroU8>) -> Self {
        let pages = setup.pages.min(setup.homes.pages());
        Self {
            local: setup.local,
            nodes: setup.nodes,
            rest,
            moves: after,
            copies: Copies::new(pages),
            pending: BTreeMap::new(),
            entries: match after {
                Some(_) => Entries::of_all(pages),
                None => Entries::of_homed(setup.local, &setup.homes),
            },
            active: BTreeMap::new(),
            resting: BTreeSet::new(),
            leaving: BTreeSet::new(),
            calm: Calm::new(pages),
            pressed: BTreeSet::new(),
            exit: Exit::none(),
            notices: BTreeMap::new(),
            left: NodeSet::EMPTY,
            own: VecDeque::new(),
            now: Tick::default(),
            halted: false,
            births: Births::new(setup.homes),
        }
    }

    /// Whether a peer was lost, so that no fault is answered any more.
    #[must_use]
    pub const fn is_halted(&self) -> bool {
        self.halted
    }

    fn react(&mut self, input: Input<Message>, out: &mut Out) -> Result<(), Violation> {
        match input {
            Input::Fault { page, access } => {
                self.check_page(page)?;
                self.fault(page, access, out);
            }
            Input::Lost { node } => self.lost(node, out),
            Input::Evict { page } => {
                self.check_page(page)?;
                self.evict(page, out);
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
                if !mutant!(ChecksNoPayload) {
                    checks::payload(payload, message.contents(), page, name)?;
                }
                self.receive(from, message, out)?;
            }
            Input::Timeout => self.timeout(out),
            Input::Depart(order) => self.depart(order, out),
        }
        Ok(())
    }

    /// A peer is gone. One that has left is missed by no one.
    fn lost(&mut self, node: NodeId, out: &mut Out) {
        if !self.left.contains(node) {
            self.halted = true;
        } else if !self.halted {
            self.nodes = self.nodes.without(node);
            self.agree_for(node, out);
        }
    }

    /// Sends to another node, or to this one once the current message is handled.
    fn send(&mut self, to: NodeId, message: Message, attach: Attach, out: &mut Out) {
        if to == self.local {
            self.own.push_back(message);
        } else {
            out.push(Command::Send {
                to,
                message,
                attach,
            });
        }
    }

    fn check_page(&self, page: PageIndex) -> Result<(), Violation> {
        checks::page(page, self.copies.pages())
    }

    fn check_home(
        &self,
        from: NodeId,
        page: PageIndex,
        message: &'static str,
    ) -> Result<(), Violation> {
        if self.home(page) == Some(from) || mutant!(ChecksNoSender) {
            Ok(())
        } else {
            Err(Violation::WrongNode { page, message })
        }
    }

    /// The refusal of a message to the requester or holder, naming the copy's state.
    fn unexpected(&self, page: PageIndex, message: &'static str) -> Violation {
        let state = self.copy_state(page);
        Violation::Unexpected {
            page,
            message,
            state,
        }
    }
}

impl CoherenceProtocol for Directory {
    type Message = Message;

    const NAME: &'static str = "directory";

    fn new(setup: Setup) -> Self {
        let after = setup.homes.is_moving().then_some(Self::MOVE_AFTER);
        Self::with_moves(setup, Self::REST, after)
    }

    fn handle(
        &mut self,
        now: Tick,
        input: Input<Message>,
        commands: &mut Vec<Command<Message>>,
    ) -> Result<(), Violation> {
        self.now = now;
        let handled = self.react(input, commands);
        while handled.is_ok()
            && let Some(message) = self.own.pop_front()
        {
            let handled = self.receive(self.local, message, commands);
            debug_assert_eq!(handled, Ok(()), "this node's own message {message:?}");
        }
        if handled.is_ok() && !self.notices.is_empty() && !self.halted {
            self.answer_notices(commands);
        }
        self.now = Tick::default();
        handled
    }

    fn next_timeout(&self) -> Option<Tick> {
        let &(until, _) = self.resting.first().filter(|_| !self.halted)?;
        Some(until)
    }

    fn rights(&self, page: PageIndex) -> Option<Rights> {
        self.copies.get(page).rights
    }

    fn in_flight(&self) -> usize {
        self.pending.len() + self.active.len()
    }

    fn refusal(&self, heir: NodeId) -> Option<CannotDepart> {
        self.against_departure(heir)
    }

    fn departure(&self) -> Departure {
        self.departure_now()
    }

    fn has_left(&self, node: NodeId) -> bool {
        self.left.contains(node)
    }

    fn handovers(&self) -> usize {
        self.births.handovers()
    }

    fn comes_home(&self) -> Vec<PageRange> {
        self.births.of(self.local)
    }
}
