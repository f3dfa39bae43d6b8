//! What can be wrong with bytes, and with values that do not fit a frame.

use super::{MAX_BODY, PROTOCOL_VERSION, Service};

/// Bytes from a peer that are not a frame, or a frame that is not a message.
///
/// After one of these the stream has no trustworthy boundary left: the connection ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first two bytes are not [`MAGIC`](super::MAGIC).
    #[error("bad magic {0:#06x}: the peer does not speak this protocol")]
    BadMagic(u16),
    /// The peer speaks another version of the protocol.
    #[error("protocol version {0} is not {PROTOCOL_VERSION}: run the same release on every node")]
    UnsupportedVersion(u8),
    /// The service number names no service.
    #[error("unknown service {0}")]
    UnknownService(u8),
    /// The kind names no message of its service.
    #[error("unknown message kind {kind} of service {service:?}")]
    UnknownKind {
        /// The frame's service.
        service: Service,
        /// The frame's kind.
        kind: u8,
    },
    /// The header announces a body longer than any message has.
    #[error("body of {0} bytes is over the limit of {MAX_BODY}")]
    BodyTooLong(usize),
    /// The header announces a payload over the receiver's limit.
    #[error("payload of {got} bytes is over the limit of {limit}")]
    PayloadTooLong {
        /// Bytes announced.
        got: u64,
        /// Bytes allowed here.
        limit: u64,
    },
    /// The body's length is not that of its message.
    #[error("message kind {kind} of service {service:?} has {expected} bytes, not {got}")]
    BodyLength {
        /// The frame's service.
        service: Service,
        /// The frame's kind.
        kind: u8,
        /// Bytes the message has.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// The payload's length is not what the message says or allows.
    #[error(
        "message kind {kind} of service {service:?} carries {got} payload bytes, not {expected}"
    )]
    PayloadLength {
        /// The frame's service.
        service: Service,
        /// The frame's kind.
        kind: u8,
        /// Bytes the message calls for.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// A field holds a value that it cannot have.
    #[error("field {field} cannot be {value:#x}")]
    BadField {
        /// The field's name.
        field: &'static str,
        /// The value that came.
        value: u64,
    },
}

/// A value that does not fit into a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The body is longer than a frame holds.
    #[error("body of {0} bytes is over the limit of {MAX_BODY}")]
    BodyTooLong(usize),
}
