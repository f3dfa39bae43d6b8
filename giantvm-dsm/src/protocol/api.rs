//! The protocol trait and the values that cross it.

use std::fmt::Debug;
use std::hash::Hash;

use giantvm_core::wire::{Body, DecodeError, Frame};
use giantvm_core::{NodeId, NodeSet, PageIndex, PageRange, Stamp};

use super::{CannotDepart, Departing, Departure, HomeMap};

/// A point in time: nanoseconds since an origin that only the driver knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub u64);

/// What a local thread or vCPU was about to do when it faulted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// A load.
    Read,
    /// A store or an atomic instruction.
    Write,
}

/// What the local threads may do with a page that is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rights {
    /// Loads only: other nodes may hold the page too.
    Read,
    /// Loads and stores: no other node holds the page.
    Write,
}

impl Rights {
    /// Whether these rights suffice for `access`.
    #[must_use]
    pub const fn allow(self, access: Access) -> bool {
        matches!((self, access), (Self::Write, _) | (_, Access::Read))
    }
}

/// What a protocol reacts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<M> {
    /// A local access needs rights that the page's mapping does not give.
    ///
    /// May be repeated, and may come when the rights are there already (the kernel may drop a
    /// mapping on its own account): the protocol then maps again and wakes.
    Fault {
        /// The page.
        page: PageIndex,
        /// What was tried.
        access: Access,
    },
    /// A message arrived. Its payload, if any, is with the driver until the next input.
    Message {
        /// The node that sent it; never this node.
        from: NodeId,
        /// The message.
        message: M,
        /// What came with the message.
        payload: Contents,
    },
    /// A peer is gone for good.
    Lost {
        /// The peer.
        node: NodeId,
    },
    /// The time of [`CoherenceProtocol::next_timeout`] has come.
    Timeout,
    /// This node would rather not keep its copy of a page, as its memory is wanted for others.
    ///
    /// A wish: the copy goes now, later or not at all. A protocol never gives up the only copy of
    /// a page but to a node that takes it over.
    Evict {
        /// The page.
        page: PageIndex,
    },
    /// Something arrived beside the shared memory, an interrupt or a device's answer, that its
    /// sender sent at this logical time. What the receiver does next must not see less than what
    /// the sender had seen: see [`CoherenceProtocol::clock`].
    Heard {
        /// The sender's logical time.
        stamp: Stamp,
    },
    /// This node leaves the shared memory, or comes back to it. Ignored by a protocol that
    /// [refuses](CoherenceProtocol::refusal) to let nodes go.
    Depart(Departing),
}

/// What a message brought besides itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contents {
    /// Nothing.
    Nothing,
    /// One page of data.
    Page,
}

/// What a sent message carries besides itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attach {
    /// Nothing.
    Nothing,
    /// The bytes of the message's page, as the local frame holds them when the command is carried
    /// out. The page is not writable then: it is mapped for reading, or was just unmapped with
    /// [`FrameFate::Keep`].
    Page,
}

/// What becomes of a page's bytes when its mapping goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameFate {
    /// A [`Command::Send`] with [`Attach::Page`] follows.
    Keep,
    /// They may be mapped again: a [`Command::Map`] may follow, once the protocol has learned that
    /// they are still the page's contents, or a [`Command::Store`] that replaces them.
    Retain,
    /// No one needs them.
    Drop,
}

/// What the driver has to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<M> {
    /// Send a message to another node, never to this one.
    Send {
        /// The receiver.
        to: NodeId,
        /// The message.
        message: M,
        /// What goes with it.
        attach: Attach,
    },
    /// The message about the page that follows may be kept back, so that it goes with the next one to the
    /// same node: nobody waits for it as far as is known here. It goes when anything comes of that node,
    /// which so can ask for it.
    Linger {
        /// The page.
        page: PageIndex,
    },
    /// Put the payload of the message being handled into the page's frame, which is not mapped.
    Store {
        /// The page.
        page: PageIndex,
    },
    /// Map the page with the bytes its frame holds. Mapping what is mapped is no error.
    Map {
        /// The page.
        page: PageIndex,
        /// The rights it gets.
        rights: Rights,
    },
    /// Map the page filled with zeroes.
    MapZero {
        /// The page.
        page: PageIndex,
        /// The rights it gets.
        rights: Rights,
    },
    /// Take the right to write from a mapped page. When this returns, no local store can happen.
    Protect {
        /// The page.
        page: PageIndex,
    },
    /// Give the right to write to a page that is mapped for reading.
    Unprotect {
        /// The page.
        page: PageIndex,
    },
    /// Take a page's mapping away. When this returns, no local access can happen. With
    /// [`FrameFate::Drop`] also of a page whose bytes were retained: they go.
    Unmap {
        /// The page.
        page: PageIndex,
        /// Whether its bytes are needed once more.
        frame: FrameFate,
    },
    /// Let every local thread that waits for the page try again.
    Wake {
        /// The page.
        page: PageIndex,
    },
    /// Make every access to the page fail loudly: its contents are lost.
    Poison {
        /// The page.
        page: PageIndex,
    },
}

impl<M> Command<M> {
    /// The page that it changes the local mapping of.
    pub const fn changes(&self) -> Option<PageIndex> {
        match self {
            Self::Send { .. } | Self::Linger { .. } | Self::Wake { .. } => None,
            Self::Store { page }
            | Self::Map { page, .. }
            | Self::MapZero { page, .. }
            | Self::Protect { page }
            | Self::Unprotect { page }
            | Self::Unmap { page, .. }
            | Self::Poison { page } => Some(*page),
        }
    }
}

/// A message that a protocol sends: it is about one page. One that is about a whole node is filed
/// under page 0.
pub trait PageMessage: Clone + Debug + PartialEq + Eq + Hash + Send + 'static {
    /// The page it is about.
    fn page(&self) -> PageIndex;

    /// The message's wire form: the frame's kind and its body.
    fn encode(&self) -> (u8, Body);

    /// Reads a message from a frame of [`Service::Dsm`](giantvm_core::wire::Service::Dsm).
    ///
    /// Total: any frame gives a message or an error. Checks every field by itself; whether the
    /// message makes sense now is the protocol's to say. Does not look at the payload.
    ///
    /// # Errors
    /// [`DecodeError`] if the frame is no message of this protocol.
    fn decode(frame: &Frame) -> Result<Self, DecodeError>;

    /// The node that gets the page's bytes in answer to this message, if any may be: `sender`, or
    /// another one that it is sent for.
    ///
    /// By this the engine knows what the receiver of a page holds already, and sends what is new
    /// (see [`parcel`](crate::engine::parcel)). A protocol that says nothing here works as well; one
    /// that does sends a page to a node only in answer to such a message.
    fn asks_for(&self, sender: NodeId) -> Option<NodeId> {
        let _ = sender;
        None
    }
}

/// What every protocol is set up with; the same on all nodes but for `local`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Setup {
    /// This node.
    pub local: NodeId,
    /// All nodes of the cluster, this one included.
    pub nodes: NodeSet,
    /// How many pages the shared memory has, counted from page 0.
    pub pages: u64,
    /// Which node is home to which page.
    pub homes: HomeMap,
}

/// A peer sent what no correct peer sends. The driver ends the link to it; nothing else changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The page is outside the shared memory.
    #[error("page {page} is outside the shared memory of {pages} pages")]
    NoSuchPage {
        /// The page named.
        page: PageIndex,
        /// Pages there are.
        pages: u64,
    },
    /// The message came to a node that is not the page's home, or from one that is not.
    #[error("{message} for page {page} does not concern this node")]
    WrongNode {
        /// The page named.
        page: PageIndex,
        /// The message's name.
        message: &'static str,
    },
    /// The message cannot come in the page's present state.
    #[error("{message} for page {page} in state {state}")]
    Unexpected {
        /// The page named.
        page: PageIndex,
        /// The message's name.
        message: &'static str,
        /// The state the page is in.
        state: &'static str,
    },
    /// The message came with a payload it must not have, or without one it must have.
    #[error("{message} for page {page} with the wrong payload")]
    Payload {
        /// The page named.
        page: PageIndex,
        /// The message's name.
        message: &'static str,
    },
    /// The message names a version or transaction that is not the current one.
    #[error("{message} for page {page} names {got}, not {expected}")]
    Stale {
        /// The page named.
        page: PageIndex,
        /// The message's name.
        message: &'static str,
        /// The number it names.
        got: u64,
        /// The number expected.
        expected: u64,
    },
}

impl Violation {
    /// The kind of violation, as it stands in transition tables.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoSuchPage { .. } => "no such page",
            Self::WrongNode { .. } => "wrong node",
            Self::Unexpected { .. } => "unexpected",
            Self::Payload { .. } => "payload",
            Self::Stale { .. } => "stale",
        }
    }
}

/// A coherence protocol: one node's share of the decision who may read and write which page.
///
/// # Logical time
/// Every node has a [`clock`](Self::clock), and what it does with its memory it does at the time
/// that its clock shows. Events are ordered by logical time first and, where that is equal, by
/// physical time. A protocol that takes all copies away before it lets a page be written needs no
/// logical time: its clocks stand at zero for ever, and the order is the physical one. A protocol
/// with leases may let old copies be read while the page is written elsewhere, as long as the
/// readers' clocks are behind the writer's.
///
/// # Laws
/// 1. *Single writer, multiple readers*: at most one node has a page mapped for writing, and when
///    one has, every other mapping of the page is a lease that ends before the writer's time: its
///    [`lease`](Self::lease) is below the writer's clock and not below its own node's.
/// 2. *Data value*: in the order of logical time, every mapped copy shows the last value written.
/// 3. *Progress*: if messages arrive and commands are carried out, every fault is answered by a
///    `Wake` of its page, and every node sees every write after a bounded time.
/// 4. *Fail closed*: after [`Input::Lost`] no page is mapped whose last value may have been lost.
/// 5. *Totality*: any input is handled or refused with a [`Violation`]; none panics; a refused one
///    changes nothing and emits nothing.
/// 6. *Bounds*: memory in proportion to pages and to transactions in flight, which are at most
///    one a page and node; messages under way for one page are at most three a node, and three;
///    about nodes that leave, there are at most three a node besides.
/// 7. *Determinism*: equal inputs in equal order give equal commands.
/// 8. *Locality*: an input about one page changes the rights to no other, except that leases end
///    when the clock passes them. So a page that a node may write stays writable as long as neither
///    a message about it nor a time-out is fed, which is how a page is pinned.
/// 9. *Clocks*: a clock never goes back, and is not behind any [`Input::Heard`].
///
/// What the protocol may rely on: the driver carries out all commands of an input before the next
/// input; messages from one node to another with equal [`Attach`] arrive once and in order, until
/// the link is lost; no message of a lost node is fed.
pub trait CoherenceProtocol: Debug + Send + 'static {
    /// What this protocol's nodes say to one another.
    type Message: PageMessage;

    /// The protocol's name on command lines and in reports.
    const NAME: &'static str;

    /// A node at the start: no page was ever touched, so every page is zero everywhere.
    fn new(setup: Setup) -> Self;

    /// Handles one input; appends to `commands` what the driver has to do.
    ///
    /// # Errors
    /// [`Violation`] if a peer's message cannot come from a correct peer.
    fn handle(
        &mut self,
        now: Tick,
        input: Input<Self::Message>,
        commands: &mut Vec<Command<Self::Message>>,
    ) -> Result<(), Violation>;

    /// When [`Input::Timeout`] is due, if ever.
    fn next_timeout(&self) -> Option<Tick>;

    /// The rights that local threads have to `page` now; `None` if it is not mapped or not there.
    fn rights(&self, page: PageIndex) -> Option<Rights>;

    /// How many transactions wait for something here. Zero everywhere and no message under way
    /// means that the cluster is quiet.
    fn in_flight(&self) -> usize;

    /// This node's logical time.
    fn clock(&self) -> Stamp {
        Stamp::ZERO
    }

    /// The last logical time at which the local copy of `page` may be read; `None` if there is no
    /// copy or if it lasts until it is taken away.
    fn lease(&self, page: PageIndex) -> Option<Stamp> {
        let _ = page;
        None
    }

    /// What is against this node's departure in favour of `heir`, now; by default that the protocol
    /// has no way to do it.
    fn refusal(&self, heir: NodeId) -> Option<CannotDepart> {
        let _ = heir;
        Some(CannotDepart::Protocol(Self::NAME))
    }

    /// How far this node's departure is.
    fn departure(&self) -> Departure {
        Departure::default()
    }

    /// Whether `node` has left, so that nothing is lost with it: then [`Input::Lost`] stops no one.
    fn has_left(&self, node: NodeId) -> bool {
        let _ = node;
        false
    }

    /// How many nodes have handed over what they were home to, as far as this one knows. While that is
    /// zero, pages come home to whom the [map of homes](Setup::homes) names.
    fn handovers(&self) -> usize {
        0
    }

    /// The runs of pages that come home to this node when no other keeps them, ascending, once there
    /// were [`handovers`](Self::handovers).
    fn comes_home(&self) -> Vec<PageRange> {
        Vec::new()
    }
}
