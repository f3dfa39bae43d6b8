//! Why a handshake ends without a link.

use giantvm_core::wire::{Body, DecodeError, Frame};

use super::{Difference, SettingsError};
use crate::link::expect_lengths;

/// Why two nodes do not join.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// What came is no frame, or no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A name holds something other than 1 to [`MAX_NAME`](super::MAX_NAME) printable characters.
    #[error("the {0} in the peer's hello is not a name")]
    BadName(&'static str),
    /// The peer's settings cannot be read.
    #[error("configuration differs, and the peer's settings cannot be read: {0}")]
    Settings(#[from] SettingsError),
    /// A right message at the wrong time.
    #[error("the peer sent link message {0} out of turn")]
    OutOfTurn(u8),
    /// The peer belongs to another cluster.
    #[error("the peer is of cluster `{there}`, not `{here}`: check cluster id and addresses")]
    Cluster {
        /// This node's cluster.
        here: String,
        /// The peer's.
        there: String,
    },
    /// Settings differ between the two nodes.
    #[error(transparent)]
    Differs(#[from] Difference),
    /// The peer is not the node it should be.
    #[error("the peer is {got}, expected {expected}: check names and addresses of the nodes")]
    Identity {
        /// Which node should be there.
        expected: String,
        /// Which node says it is there.
        got: String,
    },
    /// A connection was opened for another traffic class than the peer answers for.
    #[error("the peer answers for another traffic class")]
    Class,
    /// Another process has joined as this node.
    #[error("{0} has joined already: is a second process running as the same node?")]
    Duplicate(String),
    /// The peer refuses this node.
    #[error("the peer refuses this node: {0}")]
    Refused(Refusal),
}

/// What a node tells a peer that it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
#[non_exhaustive]
pub enum Refusal {
    /// The hello made no sense.
    #[error("it could not read the greeting; run the same release on every node")]
    Malformed = 0,
    /// The cluster id is another one.
    #[error("it is of another cluster")]
    Cluster = 1,
    /// Its table has no such node.
    #[error("its table of nodes has no node of this name and number")]
    Identity = 2,
    /// Another process has joined as this node.
    #[error("another process has joined as this node already")]
    Duplicate = 3,
}

impl Refusal {
    const ALL: [Self; 4] = [
        Self::Malformed,
        Self::Cluster,
        Self::Identity,
        Self::Duplicate,
    ];

    pub(super) fn body(self) -> Body {
        Body::of(&[self as u8])
    }

    pub(super) fn decode(frame: &Frame) -> Result<Self, DecodeError> {
        expect_lengths(frame, 1, 0)?;
        let code = frame.body.as_slice()[0];
        let known = Self::ALL.get(usize::from(code)).copied();
        known.ok_or(DecodeError::BadField {
            field: "refusal",
            value: code.into(),
        })
    }

    /// What to tell a peer whose handshake ended with `error`.
    pub(super) fn for_error(error: &HandshakeError) -> Self {
        match error {
            HandshakeError::Cluster { .. } => Self::Cluster,
            HandshakeError::Identity { .. } | HandshakeError::Class => Self::Identity,
            HandshakeError::Duplicate(_) => Self::Duplicate,
            HandshakeError::Decode(_)
            | HandshakeError::BadName(_)
            | HandshakeError::Settings(_)
            | HandshakeError::OutOfTurn(_)
            | HandshakeError::Differs(_)
            | HandshakeError::Refused(_) => Self::Malformed,
        }
    }
}
