//! What nodes say to one another about vCPUs and time: the messages of [`Service::Vcpu`].
//!
//! Pure: values to frame bodies and back. All integers are little-endian.

use bytes::Bytes;
use giantvm_core::wire::{Body, DecodeError, Frame, Service, read_body};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::clock::{Nanos, Probe, Reply};
use crate::migration;
use crate::migration::message::{ARRIVE, AT, COMMIT, INTERRUPT, LOADED, REFUSED};

/// A message to a node about vCPUs or time.
///
/// ```
/// use giantvm_core::wire::{Frame, Service};
/// use giantvm_core::{Epoch, NodeId, VcpuId};
/// use giantvm_vcpu::message::Message;
/// use giantvm_vcpu::migration::{self, MoveEpoch};
/// use giantvm_vcpu::Interrupt;
///
/// let (vcpu, epoch, interrupt) = (VcpuId::BOOT, MoveEpoch::FIRST, Interrupt::Nmi);
/// let message = Message::Vcpu(migration::Message::Interrupt { vcpu, epoch, interrupt });
/// let (kind, body, payload) = message.encode();
/// let body = body.as_slice();
/// let mut frame = Frame::control(Service::Vcpu, kind, NodeId::ZERO, Epoch::FIRST, body)?;
/// frame.payload = payload;
/// assert_eq!(Message::decode(&frame)?, message);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Something about a vCPU: an interrupt, or a step of a move.
    Vcpu(migration::Message),
    /// What time is it? To be answered at once by a [`Message::ClockReply`].
    ClockProbe(Probe),
    /// The answer to a probe.
    ClockReply(Reply),
}

const CLOCK_PROBE: u8 = 2;
const CLOCK_REPLY: u8 = 3;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct WireProbe {
    sequence: U32,
    sent: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct WireReply {
    probe: WireProbe,
    received: U64,
    replied: U64,
}

impl Message {
    /// The message's wire form: the frame's kind, its body and its payload.
    #[must_use]
    pub fn encode(&self) -> (u8, Body, Bytes) {
        match self {
            Self::Vcpu(message) => message.encode(),
            Self::ClockProbe(probe) => (CLOCK_PROBE, Body::of(&wire_probe(*probe)), Bytes::new()),
            Self::ClockReply(reply) => {
                let wire = WireReply {
                    probe: wire_probe(reply.probe),
                    received: reply.received.0.into(),
                    replied: reply.replied.0.into(),
                };
                (CLOCK_REPLY, Body::of(&wire), Bytes::new())
            }
        }
    }

    /// Reads a message from a frame of [`Service::Vcpu`]. Total: any frame gives a message or an
    /// error.
    ///
    /// # Errors
    /// [`DecodeError`] if the frame is no message of this service, or carries a payload that its kind
    /// has none of.
    pub fn decode(frame: &Frame) -> Result<Self, DecodeError> {
        let (service, kind) = (frame.service, frame.kind);
        if service != Service::Vcpu {
            return Err(DecodeError::UnknownKind { service, kind });
        }
        let message = match kind {
            INTERRUPT | ARRIVE | LOADED | REFUSED | COMMIT | AT => {
                Self::Vcpu(migration::Message::decode(frame)?)
            }
            CLOCK_PROBE => Self::ClockProbe(probe(&read_body(frame)?)),
            CLOCK_REPLY => {
                let wire: WireReply = read_body(frame)?;
                Self::ClockReply(Reply {
                    probe: probe(&wire.probe),
                    received: Nanos(wire.received.get()),
                    replied: Nanos(wire.replied.get()),
                })
            }
            _ => return Err(DecodeError::UnknownKind { service, kind }),
        };
        if kind != ARRIVE && !frame.payload.is_empty() {
            let (expected, got) = (0, frame.payload.len());
            return Err(DecodeError::PayloadLength {
                service,
                kind,
                expected,
                got,
            });
        }
        Ok(message)
    }
}

fn wire_probe(probe: Probe) -> WireProbe {
    WireProbe {
        sequence: probe.sequence.into(),
        sent: probe.sent.0.into(),
    }
}

fn probe(wire: &WireProbe) -> Probe {
    Probe {
        sequence: wire.sequence.get(),
        sent: Nanos(wire.sent.get()),
    }
}

#[cfg(test)]
mod tests {
    use giantvm_core::{Epoch, NodeId};
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, body: &[u8], payload: &[u8]) -> Frame {
        let node = NodeId::ZERO;
        let mut frame = Frame::control(Service::Vcpu, kind, node, Epoch::FIRST, body).unwrap();
        frame.payload = Bytes::copy_from_slice(payload);
        frame
    }

    /// An interrupt's body.
    fn interrupt(vcpu: u8, mode: u8, vector: u8) -> [u8; 11] {
        let mut body = [0; 11];
        body[..3].copy_from_slice(&[vcpu, mode, vector]);
        body
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_to_the_same_message(
            kind in 0..10_u8,
            body in prop::collection::vec(prop_oneof![0..33_u8, any::<u8>()], 0..=40),
            payload in prop::collection::vec(0..12_u8, 0..40),
        ) {
            for payload in [&payload[..], &[]] {
                if let Ok(message) = Message::decode(&frame(kind, &body, payload)) {
                    let (again, bytes, payload) = message.encode();
                    prop_assert_eq!((again, bytes.as_slice()), (kind, &body[..]));
                    let again = frame(kind, &body, &payload);
                    prop_assert_eq!(Message::decode(&again), Ok(message));
                }
            }
        }

        #[test]
        fn clock_messages_survive(sequence: u32, sent: u64, received: u64, replied: u64) {
            let probe = Probe { sequence, sent: Nanos(sent) };
            let reply = Reply { probe, received: Nanos(received), replied: Nanos(replied) };
            for message in [Message::ClockProbe(probe), Message::ClockReply(reply)] {
                let (kind, body, _) = message.encode();
                prop_assert_eq!(Message::decode(&frame(kind, body.as_slice(), b"")), Ok(message));
            }
        }
    }

    #[test]
    fn each_bad_field_has_its_error() {
        let bad = |kind, body: &[u8], payload| match Message::decode(&frame(kind, body, payload)) {
            Err(DecodeError::BadField { field, value }) => (field, value),
            other => panic!("{other:?}"),
        };
        assert_eq!(bad(INTERRUPT, &interrupt(254, 0, 32), b""), ("vcpu", 254));
        assert_eq!(bad(INTERRUPT, &interrupt(0, 0, 15), b""), ("vector", 15));
        assert_eq!(bad(INTERRUPT, &interrupt(0, 2, 1), b""), ("vector", 1));
        assert_eq!(bad(INTERRUPT, &interrupt(0, 4, 0), b""), ("mode", 4));
        assert_eq!(
            bad(COMMIT, &[255, 0, 0, 0, 0, 0, 0, 0, 0], b""),
            ("vcpu", 255)
        );
        assert_eq!(bad(ARRIVE, &[0; 9], b"?"), ("state", 1));
    }

    #[test]
    fn lengths_kinds_and_payloads_are_exact() {
        let decode = |kind, body: &[u8], payload| Message::decode(&frame(kind, body, payload));
        assert!(matches!(
            decode(9, &[], b""),
            Err(DecodeError::UnknownKind { .. })
        ));
        for kind in [INTERRUPT, LOADED, AT] {
            assert!(matches!(
                decode(kind, &[0; 3], b""),
                Err(DecodeError::BodyLength { .. })
            ));
        }
        for (kind, body) in [(INTERRUPT, &interrupt(0, 1, 0)[..]), (COMMIT, &[0; 9])] {
            assert!(decode(kind, body, b"").is_ok());
            assert!(matches!(
                decode(kind, body, b"x"),
                Err(DecodeError::PayloadLength { .. })
            ));
        }
    }
}
