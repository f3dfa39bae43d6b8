//! What nodes say to one another about vCPUs and time: the messages of [`Service::Vcpu`].
//!
//! Pure: values to frame bodies and back. All integers are little-endian.

use giantvm_core::wire::{Body, DecodeError, Frame, Service, read_body};
use giantvm_core::{LOWEST_VECTOR, VcpuId};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::clock::{Nanos, Probe, Reply};
use crate::interrupt::Interrupt;

/// A message to a node about the vCPUs it runs.
///
/// ```
/// use giantvm_core::wire::{Frame, Service};
/// use giantvm_core::{Epoch, NodeId, VcpuId};
/// use giantvm_vcpu::{Interrupt, message::Message};
///
/// let message = Message::Interrupt { target: VcpuId::BOOT, interrupt: Interrupt::Nmi };
/// let (kind, body) = message.encode();
/// let frame = Frame::control(Service::Vcpu, kind, NodeId::ZERO, Epoch::FIRST, body.as_slice())?;
/// assert_eq!(Message::decode(&frame)?, message);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Interrupt a vCPU of the receiver.
    Interrupt {
        /// The vCPU.
        target: VcpuId,
        /// What to do to it.
        interrupt: Interrupt,
    },
    /// What time is it? To be answered at once by a [`Message::ClockReply`].
    ClockProbe(Probe),
    /// The answer to a probe.
    ClockReply(Reply),
}

const INTERRUPT: u8 = 1;
const CLOCK_PROBE: u8 = 2;
const CLOCK_REPLY: u8 = 3;

const FIXED: u8 = 0;
const NMI: u8 = 1;
const INIT: u8 = 2;
const SIPI: u8 = 3;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct WireInterrupt {
    target: u8,
    mode: u8,
    vector: u8,
}

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
    /// The message's wire form: the frame's kind and its body.
    #[must_use]
    pub fn encode(&self) -> (u8, Body) {
        match *self {
            Self::Interrupt { target, interrupt } => {
                let (mode, vector) = match interrupt {
                    Interrupt::Fixed { vector } => (FIXED, vector),
                    Interrupt::Nmi => (NMI, 0),
                    Interrupt::Init => (INIT, 0),
                    Interrupt::Sipi { vector } => (SIPI, vector),
                };
                let target = target.get();
                let wire = WireInterrupt {
                    target,
                    mode,
                    vector,
                };
                (INTERRUPT, Body::of(&wire))
            }
            Self::ClockProbe(probe) => (CLOCK_PROBE, Body::of(&wire_probe(probe))),
            Self::ClockReply(reply) => {
                let wire = WireReply {
                    probe: wire_probe(reply.probe),
                    received: reply.received.0.into(),
                    replied: reply.replied.0.into(),
                };
                (CLOCK_REPLY, Body::of(&wire))
            }
        }
    }

    /// Reads a message from a frame of [`Service::Vcpu`]. Total: any frame gives a message or an
    /// error.
    ///
    /// # Errors
    /// [`DecodeError`] if the frame is no message of this service, or carries a payload.
    pub fn decode(frame: &Frame) -> Result<Self, DecodeError> {
        let (service, kind) = (frame.service, frame.kind);
        if service != Service::Vcpu {
            return Err(DecodeError::UnknownKind { service, kind });
        }
        let message = match kind {
            INTERRUPT => interrupt(&read_body(frame)?)?,
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
        if !frame.payload.is_empty() {
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

fn interrupt(wire: &WireInterrupt) -> Result<Message, DecodeError> {
    let bad = |field, value: u8| DecodeError::BadField {
        field,
        value: value.into(),
    };
    let target = VcpuId::new(wire.target).map_err(|_| bad("target", wire.target))?;
    let vector = wire.vector;
    let interrupt = match wire.mode {
        FIXED if vector < LOWEST_VECTOR => return Err(bad("vector", vector)),
        FIXED => Interrupt::Fixed { vector },
        NMI | INIT if vector != 0 => return Err(bad("vector", vector)),
        NMI => Interrupt::Nmi,
        INIT => Interrupt::Init,
        SIPI => Interrupt::Sipi { vector },
        mode => return Err(bad("mode", mode)),
    };
    Ok(Message::Interrupt { target, interrupt })
}

#[cfg(test)]
mod tests {
    use giantvm_core::{Epoch, NodeId};
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, body: &[u8], payload: &'static [u8]) -> Frame {
        let node = NodeId::ZERO;
        let mut frame = Frame::control(Service::Vcpu, kind, node, Epoch::FIRST, body).unwrap();
        frame.payload = payload.into();
        frame
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_to_the_same_bytes(
            kind in 0..5_u8,
            body in prop::collection::vec(any::<u8>(), 0..=40),
        ) {
            if let Ok(message) = Message::decode(&frame(kind, &body, b"")) {
                let (again, bytes) = message.encode();
                prop_assert_eq!((again, bytes.as_slice()), (kind, &body[..]));
            }
        }

        #[test]
        fn clock_messages_survive(sequence: u32, sent: u64, received: u64, replied: u64) {
            let probe = Probe { sequence, sent: Nanos(sent) };
            let reply = Reply { probe, received: Nanos(received), replied: Nanos(replied) };
            for message in [Message::ClockProbe(probe), Message::ClockReply(reply)] {
                let (kind, body) = message.encode();
                prop_assert_eq!(Message::decode(&frame(kind, body.as_slice(), b"")), Ok(message));
            }
        }
    }

    #[test]
    fn each_bad_field_has_its_error() {
        let bad = |body: [u8; 3]| match Message::decode(&frame(INTERRUPT, &body, b"")) {
            Err(DecodeError::BadField { field, value }) => (field, value),
            other => panic!("{other:?}"),
        };
        assert_eq!(bad([254, FIXED, 32]), ("target", 254));
        assert_eq!(bad([0, FIXED, 15]), ("vector", 15));
        assert_eq!(bad([0, INIT, 1]), ("vector", 1));
        assert_eq!(bad([0, 4, 0]), ("mode", 4));
    }

    #[test]
    fn lengths_kinds_and_payloads_are_exact() {
        let decode = |kind, body, payload| Message::decode(&frame(kind, body, payload));
        assert!(matches!(
            decode(9, &[], b""),
            Err(DecodeError::UnknownKind { .. })
        ));
        assert!(matches!(
            decode(INTERRUPT, &[0; 2], b""),
            Err(DecodeError::BodyLength { .. })
        ));
        assert!(matches!(
            decode(INTERRUPT, &[0, NMI, 0], b"x"),
            Err(DecodeError::PayloadLength { .. })
        ));
    }
}
