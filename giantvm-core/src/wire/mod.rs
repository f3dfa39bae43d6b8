//! The wire frame: what travels between two nodes, and its codec.
//!
//! Every message of every service is one [`Frame`]: a 24-byte header, a body of at most
//! [`MAX_BODY`] bytes that lives inline (so a control message is at most 64 bytes on the wire and
//! never allocates), and a payload (page contents, configuration) whose limit the receiver states.
//!
//! ```text
//! offset 0        2         3        4      5      6          8             12      16      24
//!        magic    version   service  kind   from   body len   payload len   epoch   stamp   body, payload
//!        u16      u8        u8       u8     u8     u16        u32           u32     u64
//! ```
//! All integers are little-endian. Magic and version keep their place in every version, and are
//! judged before anything else. Decoding is total: any byte sequence yields frames, a request
//! for more bytes, or one [`DecodeError`]; it never panics and never allocates for bytes that have
//! not arrived.
//!
//! ```
//! use bytes::BytesMut;
//! use giantvm_core::wire::{Frame, Limits, Service};
//! use giantvm_core::{Epoch, NodeId};
//!
//! let sent = Frame::control(Service::Dsm, 3, NodeId::ZERO, Epoch::FIRST, &[1, 2, 3])?;
//! let mut stream = BytesMut::new();
//! sent.encode(&mut stream);
//! assert_eq!(stream.len(), 24 + 3);
//! let received = Frame::decode(&mut stream, Limits::CONTROL_ONLY)?;
//! assert_eq!(received, Some(sent));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod error;
mod frame;

pub use body::{read_body, read_node, read_version};
pub use error::{DecodeError, EncodeError};
pub use frame::{Body, Frame, HEADER, Limits, MAGIC, MAX_BODY, PROTOCOL_VERSION};

/// Which part of the node a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Service {
    /// The transport itself: handshake and keepalive. Never reaches a handler.
    Link = 0,
    /// Page coherence.
    Dsm = 1,
    /// Interrupts between vCPUs and time.
    Vcpu = 2,
    /// Forwarded device accesses and device interrupts.
    Io = 3,
    /// The machine's life cycle: start, stop, reports. For whoever assembles the crates.
    Machine = 4,
}

impl Service {
    /// All services, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Link, Self::Dsm, Self::Vcpu, Self::Io, Self::Machine];

    /// The service of a wire number.
    ///
    /// # Errors
    /// [`DecodeError::UnknownService`] for a number that names none.
    pub fn from_wire(number: u8) -> Result<Self, DecodeError> {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .ok_or(DecodeError::UnknownService(number))
    }
}

/// How urgent a frame is. Frames of one class between two nodes arrive in order; a frame never
/// waits behind one of a less urgent class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Requests, invalidations, acknowledgements, interrupts: small, and someone waits for them.
    Control = 0,
    /// Pages that a faulting vCPU waits for.
    Demand = 1,
    /// Read-ahead, write-back, reports: no one waits.
    Bulk = 2,
}

impl Class {
    /// All classes, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Control, Self::Demand, Self::Bulk];

    /// The class as an index into a table of classes.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}
