//! The messages of the directory protocol.

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};

use crate::protocol::{Access, Contents, Rights};

/// The number of a transaction of one page: its home counts them, wrapping.
///
/// At most one transaction of a page runs at a time, so the number only tells a correct peer's
/// message from a wrong one's; it never has to order two that are both under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Transaction(pub u32);

impl Transaction {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// The page that messages about a whole node are filed under.
pub(super) const WHOLE: PageIndex = PageIndex(0);

/// Where the requester finds the bytes of the page it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Nowhere: the page was never touched, it is all zero.
    Zero,
    /// In its own frame: it holds a copy already.
    Held,
    /// With this very message: the home was the owner.
    Attached,
    /// In a [`Message::Data`] from this node.
    Node(NodeId),
}

/// What the home promises a requester.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grant {
    /// The transaction.
    pub transaction: Transaction,
    /// What the requester may do with the page once it is complete.
    pub rights: Rights,
    /// The version of the contents it gets; with [`Rights::Write`] it makes the next one.
    pub version: Version,
    /// Where the contents come from.
    pub source: Source,
    /// The nodes whose [`Message::Acknowledge`] it has to await.
    pub awaited: NodeSet,
    /// Whether the home need not hear at once that it is complete, unless it says so.
    pub calm: bool,
}

/// What the nodes say to one another. Each is about one page, but for the last four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message {
    /// Node to home: grant me this access.
    Request {
        /// The page.
        page: PageIndex,
        /// What a local thread tried.
        access: Access,
    },
    /// Home to requester: what you get, from whom, and whom to await.
    Grant {
        /// The page.
        page: PageIndex,
        /// The promise.
        grant: Grant,
    },
    /// Home to owner: send your copy to the requester.
    Fetch {
        /// The page.
        page: PageIndex,
        /// The transaction.
        transaction: Transaction,
        /// The version that the owner holds.
        version: Version,
        /// Who gets the copy.
        requester: NodeId,
        /// What the requester will do: after a read the owner keeps a copy for reading.
        access: Access,
    },
    /// Home to sharer: drop your copy and tell the requester.
    Invalidate {
        /// The page.
        page: PageIndex,
        /// The transaction.
        transaction: Transaction,
        /// The version that the sharer holds.
        version: Version,
        /// Who waits for it.
        requester: NodeId,
    },
    /// Sharer to requester: my copy is gone.
    Acknowledge {
        /// The page.
        page: PageIndex,
        /// The transaction.
        transaction: Transaction,
    },
    /// Owner to requester: the page itself, as payload.
    Data {
        /// The page.
        page: PageIndex,
        /// The transaction.
        transaction: Transaction,
        /// The version of the contents.
        version: Version,
    },
    /// Holder to home: I would rather not keep my copy.
    Evict {
        /// The page.
        page: PageIndex,
    },
    /// Home to holder: give up your copy.
    Release {
        /// The page.
        page: PageIndex,
        /// The transaction.
        transaction: Transaction,
        /// The version that the holder has.
        version: Version,
        /// Whether the home takes the page over and needs its bytes; others have them otherwise.
        take: bool,
    },
    /// Holder to home: my copy is gone; here is what it held. Has a page as payload.
    Returned {
        /// The page.
        page: PageIndex,
        /// The transaction.
        transaction: Transaction,
        /// The version of the contents.
        version: Version,
    },
    /// Requester to home: all is in place, serve the next one. Also from a holder that has given
    /// up a copy whose bytes no one needs, and from a node that has become the home.
    Done {
        /// The page.
        page: PageIndex,
        /// The transaction.
        transaction: Transaction,
    },
    /// Home to requester, whose [calm](Grant::calm) has ended: others wait for the page, say at once when all
    /// is in place. May come too late.
    Hurry {
        /// The page.
        page: PageIndex,
    },
    /// Birth home to the page's only holder: from now on you are the home.
    Move {
        /// The page.
        page: PageIndex,
        /// The transaction, whose [`Message::Done`] says that it is; the new home counts on from it.
        transaction: Transaction,
        /// The version that the holder has.
        version: Version,
    },
    /// From a node that is not the home: ask this one.
    Redirect {
        /// The page.
        page: PageIndex,
        /// Whom to ask.
        to: NodeId,
    },
    /// Home to birth home: another node should be the home.
    Yield {
        /// The page.
        page: PageIndex,
    },
    /// Birth home to home: be it no longer, and say what you know. Whoever asks meanwhile waits here.
    Recall {
        /// The page.
        page: PageIndex,
    },
    /// The last home to the birth home: one node holds the page, and this is all about it.
    Pass {
        /// The page.
        page: PageIndex,
        /// The latest transaction.
        transaction: Transaction,
        /// The version of the contents.
        version: Version,
        /// The only holder.
        owner: NodeId,
        /// What the holder may do; for reading only if it is the sender.
        rights: Rights,
    },
    /// Birth home to home: give the page back, as I am leaving.
    Reclaim {
        /// The page.
        page: PageIndex,
    },
    /// From a node that is leaving: this one becomes the birth home of all that I am it of.
    Heir {
        /// That node.
        heir: NodeId,
    },
    /// From a node that is leaving: I have no part in any page any more.
    Leave,
    /// To a node that is leaving: I have taken note, and do not need you for what was before.
    Agree,
    /// From a node that had left: I take part again.
    Back,
}

impl Message {
    /// The message's name, as it stands in errors and traces.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Request { .. } => "Request",
            Self::Grant { .. } => "Grant",
            Self::Fetch { .. } => "Fetch",
            Self::Invalidate { .. } => "Invalidate",
            Self::Acknowledge { .. } => "Acknowledge",
            Self::Data { .. } => "Data",
            Self::Evict { .. } => "Evict",
            Self::Release { .. } => "Release",
            Self::Returned { .. } => "Returned",
            Self::Done { .. } => "Done",
            Self::Hurry { .. } => "Hurry",
            Self::Move { .. } => "Move",
            Self::Redirect { .. } => "Redirect",
            Self::Yield { .. } => "Yield",
            Self::Recall { .. } => "Recall",
            Self::Pass { .. } => "Pass",
            Self::Reclaim { .. } => "Reclaim",
            Self::Heir { .. } => "Heir",
            Self::Leave => "Leave",
            Self::Agree => "Agree",
            Self::Back => "Back",
        }
    }

    /// What comes with the message.
    #[must_use]
    pub const fn contents(&self) -> Contents {
        match self {
            Self::Data { .. } | Self::Returned { .. } => Contents::Page,
            Self::Grant { grant, .. } if matches!(grant.source, Source::Attached) => Contents::Page,
            _ => Contents::Nothing,
        }
    }
}
