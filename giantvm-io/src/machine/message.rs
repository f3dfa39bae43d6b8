//! The life cycle's messages of `Service::Machine` and their total codec.

use giantvm_core::wire::{Body, DecodeError, Frame, Service, read_body, read_node};
use giantvm_core::{Epoch, NodeId, Stamp};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Cause, Stop};
use crate::message::read_vcpu;

const STOP: u8 = 1;
const STOPPED: u8 = 2;
/// Kinds of `Service::Machine` from this on are free for whoever assembles the crates.
pub const FIRST_FREE_KIND: u8 = 16;

/// Stands for no vCPU on the wire.
const NO_VCPU: u8 = u8::MAX;

/// A message between the life cycles of two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineMessage {
    /// The sender stops, for this reason.
    Stop {
        /// Which run of the machine it is about, counted from 0.
        run: u32,
        /// Why.
        stop: Stop,
    },
    /// The sender's vCPUs have stopped and it has heard from every node.
    Stopped {
        /// Which run of the machine it is about, counted from 0.
        run: u32,
        /// Why, by all it has heard.
        stop: Stop,
    },
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct StopBody {
    run: U32,
    value: U32,
    cause: u8,
    node: u8,
    vcpu: u8,
}

impl MachineMessage {
    /// The message as a frame.
    #[must_use]
    pub fn encode(&self, from: NodeId, epoch: Epoch) -> Frame {
        let (kind, run, stop) = match *self {
            Self::Stop { run, stop } => (STOP, run, stop),
            Self::Stopped { run, stop } => (STOPPED, run, stop),
        };
        let (cause, value) = match stop.cause {
            Cause::Exit(status) => (0, status),
            Cause::Shutdown => (1, 0),
            Cause::Reset => (2, 0),
            Cause::Interrupted => (3, 0),
            Cause::TripleFault => (4, 0),
            Cause::Failed(code) => (5, code),
            Cause::NodeLost(node) => (6, node.get().into()),
            Cause::TimedOut => (7, 0),
            Cause::Panicked => (8, 0),
        };
        let body = StopBody {
            run: run.into(),
            value: value.into(),
            cause,
            node: stop.node.get(),
            vcpu: stop.vcpu.map_or(NO_VCPU, |vcpu| vcpu.get()),
        };
        Frame {
            service: Service::Machine,
            kind,
            from,
            epoch,
            stamp: Stamp::ZERO,
            body: Body::of(&body),
            payload: Default::default(),
        }
    }

    /// The message of a frame of `Service::Machine` with a kind below [`FIRST_FREE_KIND`].
    ///
    /// # Errors
    /// [`DecodeError`] if the frame is none.
    pub fn decode(frame: &Frame) -> Result<Self, DecodeError> {
        let (service, kind) = (frame.service, frame.kind);
        if service != Service::Machine || !matches!(kind, STOP | STOPPED) {
            return Err(DecodeError::UnknownKind { service, kind });
        }
        if !frame.payload.is_empty() {
            return Err(DecodeError::PayloadLength {
                service,
                kind,
                expected: 0,
                got: frame.payload.len(),
            });
        }
        let body: StopBody = read_body(frame)?;
        let (run, stop) = (body.run.get(), decode_stop(&body)?);
        Ok(match kind {
            STOP => Self::Stop { run, stop },
            _ => Self::Stopped { run, stop },
        })
    }
}

fn decode_stop(body: &StopBody) -> Result<Stop, DecodeError> {
    let value = body.value.get();
    let bad = |field, value: u32| DecodeError::BadField {
        field,
        value: value.into(),
    };
    let cause = match (body.cause, value) {
        (0, status) => Cause::Exit(status),
        (5, code) => Cause::Failed(code),
        (6, node) => {
            let number = u8::try_from(node).map_err(|_| bad("value", node))?;
            Cause::NodeLost(read_node("value", number)?)
        }
        (1..=4 | 7 | 8, 1..) => return Err(bad("value", value)),
        (1, 0) => Cause::Shutdown,
        (2, 0) => Cause::Reset,
        (3, 0) => Cause::Interrupted,
        (4, 0) => Cause::TripleFault,
        (7, 0) => Cause::TimedOut,
        (8, 0) => Cause::Panicked,
        (other, _) => return Err(bad("cause", other.into())),
    };
    let vcpu = match body.vcpu {
        NO_VCPU => None,
        number => Some(read_vcpu(number)?),
    };
    Ok(Stop {
        cause,
        node: read_node("node", body.node)?,
        vcpu,
    })
}

#[cfg(test)]
mod tests {
    use giantvm_core::VcpuId;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_cause_survives_the_wire() {
        let node = NodeId::new(63).unwrap();
        for cause in [
            Cause::Exit(u32::MAX),
            Cause::Shutdown,
            Cause::Reset,
            Cause::Interrupted,
            Cause::TripleFault,
            Cause::Failed(7),
            Cause::TimedOut,
            Cause::Panicked,
            Cause::NodeLost(node),
        ] {
            let vcpu = VcpuId::new(253).ok();
            let stop = Stop { cause, node, vcpu };
            for message in [
                MachineMessage::Stop { run: 1, stop },
                MachineMessage::Stopped { run: 1, stop },
            ] {
                let frame = message.encode(node, Epoch::FIRST);
                assert_eq!(MachineMessage::decode(&frame), Ok(message));
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_decodes_is_the_only_encoding_of_its_message(
            kind in 0..4_u8,
            body in prop::collection::vec(any::<u8>(), 11..=11),
            cause in 0..10_u8,
            value in 0..80_u8,
        ) {
            let mut body = body;
            body[4..8].copy_from_slice(&u32::from(value / 8).to_le_bytes());
            body[8] = cause;
            body[9] %= 80;
            let frame = Frame::control(Service::Machine, kind, NodeId::ZERO, Epoch::FIRST, &body);
            let frame = frame.unwrap();
            if let Ok(message) = MachineMessage::decode(&frame) {
                prop_assert_eq!(message.encode(NodeId::ZERO, Epoch::FIRST), frame);
            }
        }
    }
}
