//! Messages of [`Service::Link`]: the transport's own.

use giantvm_core::wire::{Body, DecodeError, Frame, Service};
use giantvm_core::{Epoch, NodeId, Stamp};

/// Kinds of link messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A sign of life, without contents.
    Heartbeat = 0,
    /// Who a node is and what it was configured with.
    Hello = 1,
    /// The other's hello was found right.
    Welcome = 2,
    /// The canonical settings, sent when the digests differ.
    Settings = 3,
    /// The other's hello was found wrong; the connection ends.
    Refusal = 4,
    /// The sender has its links to all nodes.
    Ready = 5,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Heartbeat,
        Self::Hello,
        Self::Welcome,
        Self::Settings,
        Self::Refusal,
        Self::Ready,
    ];

    /// The kind of a link frame.
    pub(crate) fn of(frame: &Frame) -> Result<Self, DecodeError> {
        let kind = Self::ALL.get(usize::from(frame.kind));
        match (frame.service, kind) {
            (Service::Link, Some(&kind)) => Ok(kind),
            (service, _) => Err(DecodeError::UnknownKind {
                service,
                kind: frame.kind,
            }),
        }
    }

    /// A link frame of this kind with nothing in it.
    pub(crate) fn empty(self, from: NodeId, epoch: Epoch) -> Frame {
        Frame {
            service: Service::Link,
            kind: self as u8,
            from,
            epoch,
            stamp: Stamp::ZERO,
            body: Body::of(&[0_u8; 0]),
            payload: bytes::Bytes::new(),
        }
    }
}

/// Checks that a frame has exactly these lengths.
pub(crate) fn expect_lengths(
    frame: &Frame,
    body: usize,
    payload: usize,
) -> Result<(), DecodeError> {
    let (service, kind) = (frame.service, frame.kind);
    let got = frame.body.as_slice().len();
    if got != body {
        return Err(DecodeError::BodyLength {
            service,
            kind,
            expected: body,
            got,
        });
    }
    let got = frame.payload.len();
    if got != payload {
        return Err(DecodeError::PayloadLength {
            service,
            kind,
            expected: payload,
            got,
        });
    }
    Ok(())
}
