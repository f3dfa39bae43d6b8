//! What nodes say to one another about where vCPUs are, and its wire form.

use bytes::Bytes;
use giantvm_core::wire::{Body, DecodeError, Frame, read_body};
use giantvm_core::{LOWEST_VECTOR, VcpuId};
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec;
use super::place::MoveEpoch;
use crate::interrupt::Interrupt;
use crate::state::ArchState;

/// A message about one vCPU. The [module](super) says when each is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// Interrupt a vCPU, which was on the receiver's node in this epoch.
    Interrupt {
        /// The vCPU.
        vcpu: VcpuId,
        /// The epoch of the place that the message is sent to.
        epoch: MoveEpoch,
        /// What to do to the vCPU.
        interrupt: Interrupt,
    },
    /// Take this vCPU, from this epoch on.
    Arrive {
        /// The vCPU.
        vcpu: VcpuId,
        /// The epoch that it would have at the receiver.
        epoch: MoveEpoch,
        /// All that it is.
        state: Box<ArchState>,
    },
    /// The vCPU is ready to run at the sender.
    Loaded {
        /// The vCPU.
        vcpu: VcpuId,
        /// The epoch of its message [`Arrive`](Self::Arrive).
        epoch: MoveEpoch,
    },
    /// The sender cannot take the vCPU.
    Refused {
        /// The vCPU.
        vcpu: VcpuId,
        /// The epoch of its message [`Arrive`](Self::Arrive).
        epoch: MoveEpoch,
    },
    /// The vCPU is the receiver's.
    Commit {
        /// The vCPU.
        vcpu: VcpuId,
        /// Its epoch there.
        epoch: MoveEpoch,
    },
    /// The vCPU is at the sender.
    At {
        /// The vCPU.
        vcpu: VcpuId,
        /// Its epoch there.
        epoch: MoveEpoch,
    },
}

/// The frame kinds of these messages.
pub(crate) const INTERRUPT: u8 = 1;
pub(crate) const ARRIVE: u8 = 4;
pub(crate) const LOADED: u8 = 5;
pub(crate) const REFUSED: u8 = 6;
pub(crate) const COMMIT: u8 = 7;
pub(crate) const AT: u8 = 8;

const FIXED: u8 = 0;
const NMI: u8 = 1;
const INIT: u8 = 2;
const SIPI: u8 = 3;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct WireInterrupt {
    vcpu: u8,
    mode: u8,
    vector: u8,
    epoch: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct WireStep {
    vcpu: u8,
    epoch: U64,
}

impl Message {
    /// The vCPU it is about.
    #[must_use]
    pub const fn vcpu(&self) -> VcpuId {
        match self {
            Self::Interrupt { vcpu, .. }
            | Self::Arrive { vcpu, .. }
            | Self::Loaded { vcpu, .. }
            | Self::Refused { vcpu, .. }
            | Self::Commit { vcpu, .. }
            | Self::At { vcpu, .. } => *vcpu,
        }
    }

    /// Kind, body and payload of the message's frame.
    pub(crate) fn encode(&self) -> (u8, Body, Bytes) {
        let step = |vcpu: &VcpuId, epoch: &MoveEpoch| {
            Body::of(&WireStep {
                vcpu: vcpu.get(),
                epoch: epoch.0.into(),
            })
        };
        let (kind, body) = match self {
            Self::Interrupt {
                vcpu,
                epoch,
                interrupt,
            } => {
                let (mode, vector) = match *interrupt {
                    Interrupt::Fixed { vector } => (FIXED, vector),
                    Interrupt::Nmi => (NMI, 0),
                    Interrupt::Init => (INIT, 0),
                    Interrupt::Sipi { vector } => (SIPI, vector),
                };
                let wire = WireInterrupt {
                    vcpu: vcpu.get(),
                    mode,
                    vector,
                    epoch: epoch.0.into(),
                };
                (INTERRUPT, Body::of(&wire))
            }
            Self::Arrive { vcpu, epoch, state } => {
                return (ARRIVE, step(vcpu, epoch), codec::encode(state).into());
            }
            Self::Loaded { vcpu, epoch } => (LOADED, step(vcpu, epoch)),
            Self::Refused { vcpu, epoch } => (REFUSED, step(vcpu, epoch)),
            Self::Commit { vcpu, epoch } => (COMMIT, step(vcpu, epoch)),
            Self::At { vcpu, epoch } => (AT, step(vcpu, epoch)),
        };
        (kind, body, Bytes::new())
    }

    /// Reads a frame of one of the kinds of these messages; its payload only if it is a state.
    pub(crate) fn decode(frame: &Frame) -> Result<Self, DecodeError> {
        if frame.kind == INTERRUPT {
            return read_interrupt(&read_body(frame)?);
        }
        let wire: WireStep = read_body(frame)?;
        let (vcpu, epoch) = (read_vcpu(wire.vcpu)?, MoveEpoch(wire.epoch.get()));
        Ok(match frame.kind {
            ARRIVE => {
                let state = codec::decode(&frame.payload).ok_or(DecodeError::BadField {
                    field: "state",
                    value: frame.payload.len() as u64,
                })?;
                let state = Box::new(state);
                Self::Arrive { vcpu, epoch, state }
            }
            LOADED => Self::Loaded { vcpu, epoch },
            REFUSED => Self::Refused { vcpu, epoch },
            COMMIT => Self::Commit { vcpu, epoch },
            AT => Self::At { vcpu, epoch },
            kind => {
                let service = frame.service;
                return Err(DecodeError::UnknownKind { service, kind });
            }
        })
    }
}

const fn bad(field: &'static str, value: u8) -> DecodeError {
    let value = value as u64;
    DecodeError::BadField { field, value }
}

fn read_vcpu(number: u8) -> Result<VcpuId, DecodeError> {
    VcpuId::new(number).map_err(|_| bad("vcpu", number))
}

fn read_interrupt(wire: &WireInterrupt) -> Result<Message, DecodeError> {
    let (vcpu, vector) = (read_vcpu(wire.vcpu)?, wire.vector);
    let interrupt = match wire.mode {
        FIXED if vector < LOWEST_VECTOR => return Err(bad("vector", vector)),
        FIXED => Interrupt::Fixed { vector },
        NMI | INIT if vector != 0 => return Err(bad("vector", vector)),
        NMI => Interrupt::Nmi,
        INIT => Interrupt::Init,
        SIPI => Interrupt::Sipi { vector },
        mode => return Err(bad("mode", mode)),
    };
    let epoch = MoveEpoch(wire.epoch.get());
    Ok(Message::Interrupt {
        vcpu,
        epoch,
        interrupt,
    })
}
