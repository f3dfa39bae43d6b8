//! Why a peer's frame is refused.

use giantvm_core::wire::{DecodeError, Service};
use giantvm_core::{Epoch, PageIndex, Stamp};

use super::parcel::BadParcel;
use super::terms::TermsDiffer;
use crate::protocol::Violation;

/// Why a peer's frame was refused. The link to the peer has to end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The frame is no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// What came with the message is no page, and nothing to make one of.
    #[error(transparent)]
    Parcel(#[from] BadParcel),
    /// The message cannot come from a correct peer.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The frame is of another membership epoch.
    #[error("frame of epoch {got} in epoch {expected}")]
    Epoch {
        /// The frame's epoch.
        got: Epoch,
        /// The epoch of this node.
        expected: Epoch,
    },
    /// The peer shares its memory on other terms.
    #[error(transparent)]
    Terms(#[from] TermsDiffer),
    /// The peer asks for something and has not said on what terms it shares its memory.
    #[error(
        "a request of a node that did not say on what terms it shares memory: run the same version on all nodes"
    )]
    NoTerms,
    /// A message before this one is missing.
    #[error("message {0} is missing: the link loses what it carries")]
    Missing(u32),
    /// More messages about a pinned page than a correct peer has reason to send.
    #[error("too many messages about page {0}, which is pinned")]
    Crowd(PageIndex),
    /// The frame's logical time leaves too little time after it.
    #[error("frame of logical time {0}, which no sound node reaches")]
    Stamp(Stamp),
    /// The service that the frame is for refused it.
    #[error("{0}")]
    Handler(String),
    /// No one here handles the frame's service.
    #[error("no handler for service {0:?}")]
    NoHandler(Service),
}
