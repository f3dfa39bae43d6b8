//! Leases in logical time, after Tardis (Yu and Devadas, PACT 2015), with pages for its lines and
//! one clock a node.
//!
//! A write takes no copy away from anyone. It happens at a logical time that is later than the end
//! of every lease, so whoever goes on reading an old copy reads it before the write. That saves
//! the invalidations and all that waits for them; the price is that leases are renewed, which
//! moves no data if the page is still the same.
//!
//! # Roles
//! Every page has a *home* (see [`HomeMap`]). It has the page's bytes while no one owns it, and
//! leases them to whoever reads; it remembers how far the longest lease goes, not who has one. An
//! *owner* may write; there is at most one, and the home knows it. Everyone else has a *lease*, or
//! bytes *retained* from one: they may be leased again without being sent again.
//!
//! # Stamps
//! * A node's *clock* is the time of all that its threads do. It only moves forward.
//! * A *version* names the bytes of a page by a time not before the last write that they show:
//!   the clock of the owner that gave them back. Two versions of a page never share a stamp.
//! * A lease's *end* is the last time at which the copy may be read. When the clock passes it, the
//!   node unmaps the copy.
//!
//! # Transactions
//! ```text
//! reader                    home                       owner
//!     | --- Request ---------> |                          |
//!     |                        | --- Recall ------------> | Protect, lease for itself
//!     |            Store, Map  | <------------- Return -- |
//!     | <--- Grant ----------- | end = max(end, clock + length)
//!     | Store, Map, Wake       |                          |
//!
//! writer                    home                       owner
//!     | --- Request ---------> |                          |
//!     |                        | --- Recall ------------> | Unmap
//!     |           Store, Unmap | <------------- Return -- |
//!     | <--- Grant ----------- |                          |
//!     | clock = max(clock, end + 1)                       |
//!     | Store, Map, Wake       |                          |
//! ```
//! Without an owner the two steps in the middle fall away. A grant has no data if the requester
//! said that it has these bytes, or if the page was never touched: then it is given away whatever
//! was asked, as zeroes. The home's own threads read the page while no one owns it, without a
//! lease: it knows its own clock when it gives the page away.
//!
//! # Home
//! | holder | Request | next | messages |
//! |---|---|---|---|
//! | Untouched | any | Owned(requester) | Grant Write, zero |
//! | Shared | read | Shared, end moved | Grant Read |
//! | Shared | write | Owned(requester) | Grant Write |
//! | Owned(home), rested | read or write | as from Shared | its own copy is protected or unmapped |
//! | Owned(home), not rested | any | same | none; queued |
//! | Owned(other) | any | Owned, recalled | Recall |
//! | Owned(other), recalled | any | same | none; queued, at most one a node |
//! | Owned(owner), recalled | Return of the owner | as from Shared, for all in the queue | |
//! | Owned(owner) | Evict of the owner | Owned, recalled | Recall |
//!
//! # Requester and holder
//! | state | input | next | commands |
//! |---|---|---|---|
//! | Owned, Leased, Source | fault that its rights allow | same | Map, Wake |
//! | other | fault | + | Request, unless one is under way |
//! | any+ | Grant Read that has not ended | Leased | Store if new, Map, Wake |
//! | any+ | Grant Read that has | Retained+ | Store if new, Request once more |
//! | any+ | Grant Write | Owned | Store if new, Map or Unprotect, Wake |
//! | Owned | Recall for a read | Leased | Protect, Return |
//! | Owned | Recall for a write | Invalid | Unmap keeping the bytes, Return |
//! | Owned | eviction wanted | same | Evict |
//! | Leased, Retained | eviction wanted | Invalid | Unmap |
//! | Leased | the clock passes the end | Retained | Unmap |
//! | Leased | it is time to look after it | Leased+ | Request |
//!
//! A `+` means that a request is under way. *Source* is the home's own copy of a page that no one
//! owns. Every other pair of state and message, and every wrong sender, stamp or payload, is a
//! [`Violation`], found before anything is changed.
//!
//! # Order of messages
//! A node has one request of a page under way, and a home one recall. A *Return* answers a recall
//! and nothing else: an owner that has no room for a page asks to be recalled. So at most three
//! messages of a page and node are under way, and these may overtake one another:
//! * A Recall overtakes the Grant of the page it recalls, if that has data. It is kept with the
//!   request. The grant's end tells that the two belong together.
//! * A Request overtakes the Return of the same node. It waits in the queue, as the page does not
//!   come back without that.
//! * An Evict arrives after the page was recalled, or after it was granted to another. Its node is
//!   not the owner by that grant any more, so there is nothing to do.
//!
//! # Rest
//! A page stays for [`Lease::REST`] where it was granted for writing, so that the woken thread
//! gets its access done before a recall is obeyed.
//!
//! # Leases in physical time
//! A thread that only reads does not move its clock, so it could read the past for ever. A copy is
//! therefore *refreshed* [`Lease::REFRESH`] after it was leased: the home is asked for it again,
//! while it stays mapped. If it is still current, the next time is twice as long, up to
//! [`Lease::SLOWEST_REFRESH`] doublings; new bytes replace the old ones in one step with the clock.
//! After [`Lease::IDLE_REFRESHES`] of them without a fault the copy is unmapped, as nothing tells
//! whether a thread still reads it: one that does faults and has it again without data. An idle
//! node falls silent, and every node sees every write after a bounded time. At most
//! [`Lease::MOST_REFRESHES`] are under way at a time.
//!
//! A lease lasts for [`Lease::SHORTEST`] ticks of the clock after a write and twice as long each
//! time it is given again, so that pages which are only read are rarely renewed. The clock may have
//! passed a lease when it comes; after [`Lease::MOST_LATE`] such answers in a row the node asks for
//! the page itself, which no clock takes away.
//!
//! # Why this is sequentially consistent
//! Order all accesses by the clock of their node, and those at the same time by physical time. A
//! node's own accesses are in the order of its programs, as its clock never goes back. It remains
//! to show that a read at time `t` sees the last write at or before it in this order.
//! * A page has at most one owner, and while it has one no one else gets it. So the writes of one
//!   owner all come before those of the next, physically; and logically, as the next one's clock
//!   passes the end of the grant, which is at least the version that the former gave back.
//! * An owner reads what was written last. All earlier writes have times up to its clock.
//! * A lease's bytes were given back at the time of their version, which is not after `t`, because
//!   taking a lease moves the clock there: all writes that they lack are those of later owners.
//!   Such an owner's clock passed an end that covers the lease, so these writes are after `t`.
//! * The home reads the page while no one owns it, at times that are not before the version. When
//!   it gives the page away it unmaps it first, and the grant's end covers its clock.
//!
//! A clock moves when the commands that end leases are carried out; they come before whatever
//! needs the new time: a mapping that is valid from it on, or a message that tells it.
//!
//! # Why state and mapping change as one
//! As in the [directory](super::directory): the driver carries out all commands of an input before
//! the next one. A page is sent after its Protect or Unmap.
//!
//! # What it trusts a peer with
//! No message of one bad peer makes a correct home give a page to two owners or forget a lease,
//! nor a correct node map what the page's home did not grant. A home is believed about its own
//! pages and an owner about the bytes it gives back. Any peer can push the clocks forward, and this
//! breaks no law: no node shows a time after [`Lease::LAST`] and goes on, so no sum of stamps wraps.
//!
//! # Failure
//! After [`Input::Lost`], or when its clock has passed [`Lease::LAST`], the node is halted for good:
//! it remembers faults and answers none, ignores messages, maps and grants nothing. What is owned
//! stays valid, as whoever wants it needs an answer that never comes. A lease stays valid as long
//! as the clock does not pass its end, as it shows what was written up to that time.

mod holder;
mod home;
mod leases;
mod message;
mod refresh;
mod requester;
mod rest;
mod table;
#[cfg(test)]
mod tests;
mod view;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use giantvm_core::{NodeId, NodeSet, PageIndex, Stamp};

pub use message::{Grant, Message, Order, Source};
pub use table::BYTES_PER_PAGE;

use home::{Active, Asked};
use leases::Leases;
use requester::Pending;
use rest::Rest;
use table::Table;

use super::{
    Attach, CoherenceProtocol, Command, HomeMap, Input, PageMessage, Rights, Setup, Tick,
    Violation, checks,
};

type Out = Vec<Command<Message>>;

/// One node's share of the lease protocol. See the [module](self).
///
/// ```
/// use giantvm_core::{NodeId, NodeSet, PageIndex, Stamp};
/// use giantvm_dsm::protocol::{
///     Access, CoherenceProtocol, Command, HomeMap, Input, Lease, Rights, Setup, Tick,
/// };
///
/// let nodes = NodeSet::first(2);
/// let setup = Setup { local: NodeId::ZERO, nodes, pages: 8, homes: HomeMap::even(8, nodes) };
/// let mut node = Lease::new(setup);
///
/// // Page 0 is homed here and untouched: a fault on it is answered without any message.
/// let (page, access) = (PageIndex(0), Access::Read);
/// let mut commands = Vec::new();
/// node.handle(Tick(0), Input::Fault { page, access }, &mut commands)?;
/// let rights = Rights::Write;
/// assert_eq!(commands, [Command::MapZero { page, rights }, Command::Wake { page }]);
/// assert_eq!((node.clock(), node.lease(page)), (Stamp(1), None));
/// # Ok::<(), giantvm_dsm::protocol::Violation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    local: NodeId,
    nodes: NodeSet,
    homes: HomeMap,
    clock: Stamp,
    table: Table,
    leases: Leases,
    /// The time from a lease to its first refresh.
    refresh: Option<Tick>,
    /// Requests of this node, at most one a page.
    pending: BTreeMap<PageIndex, Pending>,
    /// How many of them no thread waits for.
    refreshing: usize,
    rest: Rest,
    /// Pages that go back to their home when they have rested.
    recalled: BTreeMap<PageIndex, Order>,
    /// Pages whose home was told that this node would rather not keep them.
    leaving: BTreeSet<PageIndex>,
    /// Pages homed here that someone waits for.
    active: BTreeMap<PageIndex, Active>,
    halted: bool,
}

impl Lease {
    /// How long a page stays where it was granted for writing: 4 us, in nanoseconds; the engine may
    /// keep it longer.
    pub const REST: Tick = Tick(4_000);

    /// The time after which a copy is refreshed first: 500 us, in nanoseconds. A thread that waits
    /// for another's write by reading sees it after that and a message's round trip.
    pub const REFRESH: Tick = Tick(500_000);

    /// How often that time is doubled at most: up to 8 ms.
    pub const SLOWEST_REFRESH: u8 = 4;

    /// How often a copy is refreshed without a fault before it is unmapped.
    pub const IDLE_REFRESHES: u8 = 8;

    /// How many refreshes a node has under way at most.
    pub const MOST_REFRESHES: usize = 64;

    /// How far the first lease after a write goes, in logical time.
    pub const SHORTEST: u64 = 8;

    /// How often that is doubled at most: up to 2^20.
    pub const MOST_DOUBLINGS: u8 = 17;

    /// How many leases in a row may come too late before the page itself is asked for.
    pub const MOST_LATE: u8 = 2;

    /// The last time at which a node grants anything. With a million leases of the longest kind
    /// passed every second it comes after a hundred days; with those that a mixed load has, never.
    pub const LAST: Stamp = Stamp(1 << 63);

    /// A node with other times than [`Lease::REST`] and [`Lease::REFRESH`]. Without a time for
    /// refreshes, a thread that only reads may read the past for ever.
    #[must_use]
    pub fn with_times(setup: Setup, rest: Tick, refresh: Option<Tick>) -> Self {
        let pages = setup.pages.min(setup.homes.pages());
        Self {
            local: setup.local,
            nodes: setup.nodes,
            homes: setup.homes,
            clock: Stamp::ZERO,
            table: Table::new(pages),
            leases: Leases::default(),
            refresh,
            pending: BTreeMap::new(),
            refreshing: 0,
            rest: Rest::new(rest),
            recalled: BTreeMap::new(),
            leaving: BTreeSet::new(),
            active: BTreeMap::new(),
            halted: false,
        }
    }

    /// Whether a peer was lost or the last time has passed, so that no fault is answered any more.
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
            Message::Request {
                page,
                access,
                clock,
                held,
            } => {
                let asked = Asked {
                    node: from,
                    access,
                    clock,
                    held,
                };
                self.requested(now, page, asked, out)
            }
            Message::Grant { page, grant } => self.granted(now, from, page, grant, out),
            Message::Recall { page, order } => self.recall(now, from, page, order, out),
            Message::Return { page, written } => self.returned(now, from, page, written, out),
            Message::Evict { page, grant } => self.evict_asked(from, page, grant, out),
        }
    }

    /// Sends to another node. What a node has to say to itself, it does at once.
    fn send(&self, to: NodeId, message: Message, attach: Attach, out: &mut Out) {
        debug_assert_ne!(to, self.local, "{message:?}");
        out.push(Command::Send {
            to,
            message,
            attach,
        });
    }

    fn check_page(&self, page: PageIndex) -> Result<(), Violation> {
        checks::page(page, self.table.pages())
    }

    fn check_home(
        &self,
        node: NodeId,
        page: PageIndex,
        message: &'static str,
    ) -> Result<(), Violation> {
        if self.homes.home(page) == Some(node) {
            Ok(())
        } else {
            Err(Violation::WrongNode { page, message })
        }
    }

    /// The refusal of a message to the requester or holder, naming what it has.
    fn unexpected(&self, page: PageIndex, message: &'static str) -> Violation {
        let state = self.copy_state(page);
        Violation::Unexpected {
            page,
            message,
            state,
        }
    }
}

impl CoherenceProtocol for Lease {
    type Message = Message;

    const NAME: &'static str = "lease";

    fn new(setup: Setup) -> Self {
        Self::with_times(setup, Self::REST, Some(Self::REFRESH))
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
            // Also when halted: the others may go on writing at later times.
            Input::Heard { stamp } => self.advance(stamp, commands),
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
            Input::Timeout => {
                self.end_rests(now, commands);
                self.refresh_due(now, commands);
            }
        }
        Ok(())
    }

    fn next_timeout(&self) -> Option<Tick> {
        let times = [self.rest.first(), self.next_refresh()];
        times.into_iter().flatten().min().filter(|_| !self.halted)
    }

    fn rights(&self, page: PageIndex) -> Option<Rights> {
        self.table.get(page).rights()
    }

    fn in_flight(&self) -> usize {
        self.pending.len() + self.active.len()
    }

    fn clock(&self) -> Stamp {
        self.clock
    }

    fn lease(&self, page: PageIndex) -> Option<Stamp> {
        self.leases.get(page).map(|held| held.end)
    }
}
