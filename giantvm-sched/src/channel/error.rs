//! Why bytes are no message.

use super::layout::{MAX_MESSAGE, VERSION};
use crate::schedule::MachineError;

/// Bytes that are no message of the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// They do not begin as messages do.
    #[error("this does not begin as a message of the channel does")]
    Magic,
    /// The other side speaks another version.
    #[error("the other side speaks version {0} of the channel, this one speaks {VERSION}")]
    Version(u16),
    /// No message has this kind.
    #[error("a message of the channel has no kind {0}")]
    Kind(u16),
    /// The length is none that a message can have, or not that of what is there.
    #[error(
        "{0} bytes are said or found, which is not the message's length, or over {MAX_MESSAGE}"
    )]
    Length(usize),
    /// Something is there more often than it may be.
    #[error("{1} are more {0} than a message may have")]
    Many(&'static str, usize),
    /// A number is outside of its range, or names what is not there.
    #[error("{1} is no {0} here")]
    Number(&'static str, u64),
    /// What must be zero is not.
    #[error("a byte that must be zero is not")]
    NotZero,
    /// The machine cannot be.
    #[error(transparent)]
    Machine(#[from] MachineError),
}
