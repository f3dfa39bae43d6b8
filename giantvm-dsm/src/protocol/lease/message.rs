//! The messages of the lease protocol.

use giantvm_core::{PageIndex, Stamp};

use crate::protocol::{Access, Contents, Rights};

/// Where the requester finds the bytes of the page it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Nowhere: the page was never touched, it is all zero.
    Zero,
    /// In its own frame: what it said it holds is still the page's contents.
    Held,
    /// With this very message.
    Attached,
}

/// What the home grants a requester.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grant {
    /// A lease, or the page for its own.
    pub rights: Rights,
    /// The version: not earlier than the last write that the bytes show.
    pub written: Stamp,
    /// With [`Rights::Read`], the last time at which the copy may be read. With [`Rights::Write`],
    /// the last time at which anyone else may read what is there now; it also names the grant, as
    /// no two of a page have the same.
    pub end: Stamp,
    /// Where the contents come from.
    pub source: Source,
}

/// How an owner has to give its page back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Order {
    /// The [`Grant::end`] of the grant that ends.
    pub grant: Stamp,
    /// After [`Access::Read`] the owner keeps a copy, leased as the others will be.
    pub access: Access,
    /// How far that lease goes at least; zero for [`Access::Write`].
    pub wanted: Stamp,
}

/// What the nodes say to one another. Each is about one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message {
    /// Node to home: grant me this access.
    Request {
        /// The page.
        page: PageIndex,
        /// A lease, or the page for its own.
        access: Access,
        /// The node's clock: a shorter lease is of no use.
        clock: Stamp,
        /// The version whose bytes it has already; zero for none.
        held: Stamp,
    },
    /// Home to requester: here you are.
    Grant {
        /// The page.
        page: PageIndex,
        /// The grant.
        grant: Grant,
    },
    /// Home to owner: give the page back.
    Recall {
        /// The page.
        page: PageIndex,
        /// How.
        order: Order,
    },
    /// Owner to home: the page, as payload. Answers a [`Message::Recall`].
    Return {
        /// The page.
        page: PageIndex,
        /// The owner's clock, and so the version of the bytes.
        written: Stamp,
    },
    /// Owner to home: I would rather not keep the page.
    Evict {
        /// The page.
        page: PageIndex,
        /// The [`Grant::end`] of the grant that it has the page by.
        grant: Stamp,
    },
}

impl Message {
    /// The message's name, as it stands in errors and traces.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Request { .. } => "Request",
            Self::Grant { .. } => "Grant",
            Self::Recall { .. } => "Recall",
            Self::Return { .. } => "Return",
            Self::Evict { .. } => "Evict",
        }
    }

    /// What comes with the message.
    #[must_use]
    pub const fn contents(&self) -> Contents {
        match self {
            Self::Return { .. } => Contents::Page,
            Self::Grant { grant, .. } if matches!(grant.source, Source::Attached) => Contents::Page,
            _ => Contents::Nothing,
        }
    }
}
