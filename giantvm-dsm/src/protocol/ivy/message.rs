//! The messages of the Ivy protocol.

use giantvm_core::{NodeId, NodeSet, PageIndex, Version};

use crate::protocol::{Access, Contents};

/// What a node asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Want {
    /// A copy to read.
    Read,
    /// A copy to write.
    Write,
    /// To write, holding a copy of this version for reading already.
    Upgrade(Version),
}

impl Want {
    /// What the local thread tried.
    #[must_use]
    pub const fn access(self) -> Access {
        match self {
            Self::Read => Access::Read,
            Self::Write | Self::Upgrade(_) => Access::Write,
        }
    }
}

/// A request on its way to whoever has the token or will have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request {
    /// The node that asks, however many forwarders there were.
    pub requester: NodeId,
    /// What it asks for.
    pub want: Want,
}

/// Where the new owner finds the bytes of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Nowhere: the page was never touched, it is all zero.
    Zero,
    /// In its own frame: it holds a copy already.
    Held,
    /// With this very message.
    Attached,
}

/// The ownership of a page, of which there is exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    /// The version of the contents; a writer makes the next one.
    pub version: Version,
    /// All other nodes that may hold a copy, which is for reading. After a read the old owner is
    /// one of them.
    pub sharers: NodeSet,
    /// Where the contents come from.
    pub source: Source,
}

/// What the nodes say to one another. Each is about one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message {
    /// To the probable owner: give the page to the requester.
    Request {
        /// The page.
        page: PageIndex,
        /// The request.
        request: Request,
    },
    /// Old owner to new owner: the page is yours.
    Token {
        /// The page.
        page: PageIndex,
        /// The ownership.
        token: Token,
    },
    /// Owner to sharer: drop your copy and tell me.
    Invalidate {
        /// The page.
        page: PageIndex,
        /// The version that the sharer holds.
        version: Version,
    },
    /// Sharer to owner: I have no copy of this version.
    Acknowledge {
        /// The page.
        page: PageIndex,
        /// The version.
        version: Version,
    },
}

impl Message {
    /// The message's name, as it stands in errors and traces.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Request { .. } => "Request",
            Self::Token { .. } => "Token",
            Self::Invalidate { .. } => "Invalidate",
            Self::Acknowledge { .. } => "Acknowledge",
        }
    }

    /// What comes with the message.
    #[must_use]
    pub const fn contents(&self) -> Contents {
        match self {
            Self::Token { token, .. } if matches!(token.source, Source::Attached) => Contents::Page,
            _ => Contents::Nothing,
        }
    }
}
