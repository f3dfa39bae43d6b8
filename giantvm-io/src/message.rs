//! The messages of `Service::Io` and their total codec.

use giantvm_core::wire::{Body, DecodeError, Frame, Service, read_body};
use giantvm_core::{AccessSize, Epoch, LOWEST_VECTOR, Msi, NodeId, Stamp, VcpuId};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ioapic::LineMessage;
use crate::{Access, DeviceError, DeviceInterrupt, Op, Space, Token};

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const INTERRUPT: u8 = 3;

/// The number of no token: a request that has no answer.
const POSTED: u64 = 0;

/// Asks the node of a device for an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoRequest {
    /// What the answer has to name; `None` for a write that is posted and has no answer.
    pub token: Option<Token>,
    /// The vCPU whose access this is; it runs on the node that sends this.
    pub vcpu: VcpuId,
    /// The access.
    pub access: Access,
}

/// The answer to an [`IoRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoReply {
    /// The request's token.
    pub token: Token,
    /// The value read, zero for a write; or what the device says.
    pub result: Result<u64, DeviceError>,
}

/// A message of `Service::Io`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoMessage {
    /// Asks for an access.
    Request(IoRequest),
    /// Answers one.
    Reply(IoReply),
    /// A device raised an interrupt for a vCPU of the receiving node.
    Interrupt(DeviceInterrupt),
    /// About interrupt lines.
    Line(LineMessage),
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RequestBody {
    token: U64,
    address: U64,
    value: U64,
    space: u8,
    size: u8,
    write: u8,
    vcpu: u8,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ReplyBody {
    token: U64,
    value: U64,
    status: u8,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct InterruptBody {
    address: U64,
    data: U32,
    form: u8,
    vcpu: u8,
    vector: u8,
}

impl IoMessage {
    /// The message as a frame.
    #[must_use]
    pub fn encode(&self, from: NodeId, epoch: Epoch) -> Frame {
        let (kind, body) = match self {
            Self::Request(request) => (REQUEST, request.body()),
            Self::Reply(reply) => (REPLY, reply.body()),
            Self::Interrupt(interrupt) => (INTERRUPT, interrupt_body(*interrupt)),
            Self::Line(message) => message.encode(),
        };
        Frame {
            service: Service::Io,
            kind,
            from,
            epoch,
            stamp: Stamp::ZERO,
            body,
            payload: Default::default(),
        }
    }

    /// The message of a frame of `Service::Io`.
    ///
    /// # Errors
    /// [`DecodeError`] if the frame is none.
    pub fn decode(frame: &Frame) -> Result<Self, DecodeError> {
        if !frame.payload.is_empty() {
            return Err(DecodeError::PayloadLength {
                service: frame.service,
                kind: frame.kind,
                expected: 0,
                got: frame.payload.len(),
            });
        }
        match (frame.service, frame.kind) {
            (Service::Io, REQUEST) => decode_request(&read_body(frame)?).map(Self::Request),
            (Service::Io, REPLY) => decode_reply(&read_body(frame)?).map(Self::Reply),
            (Service::Io, INTERRUPT) => decode_interrupt(&read_body(frame)?).map(Self::Interrupt),
            (Service::Io, kind) if LineMessage::KINDS.contains(&kind) => {
                LineMessage::decode(frame).map(Self::Line)
            }
            (service, kind) => Err(DecodeError::UnknownKind { service, kind }),
        }
    }
}

impl IoRequest {
    fn body(&self) -> Body {
        let Access {
            space,
            address,
            size,
            op,
        } = self.access;
        let (write, value) = match op {
            Op::Read => (0, 0),
            Op::Write(value) => (1, value),
        };
        let [bytes, ..] = size.bytes().to_le_bytes();
        Body::of(&RequestBody {
            token: self.token.map_or(POSTED, |Token(number)| number).into(),
            address: address.into(),
            value: value.into(),
            space: match space {
                Space::Port => 0,
                Space::Memory => 1,
            },
            size: bytes,
            write,
            vcpu: self.vcpu.get(),
        })
    }
}

impl IoReply {
    fn body(&self) -> Body {
        let (status, value) = match self.result {
            Ok(value) => (0, value),
            Err(error) => (status_of(error), 0),
        };
        Body::of(&ReplyBody {
            token: self.token.0.into(),
            value: value.into(),
            status,
        })
    }
}

const fn status_of(error: DeviceError) -> u8 {
    match error {
        DeviceError::Unsupported => 1,
        DeviceError::Backend => 2,
        DeviceError::Broken => 3,
    }
}

fn interrupt_body(interrupt: DeviceInterrupt) -> Body {
    let (form, msi, vcpu, vector) = match interrupt {
        DeviceInterrupt::Msi(msi) => (0, msi, 0, 0),
        DeviceInterrupt::Vector { vcpu, vector } => {
            let none = Msi {
                address: 0,
                data: 0,
            };
            (1, none, vcpu.get(), vector)
        }
    };
    Body::of(&InterruptBody {
        address: msi.address.into(),
        data: msi.data.into(),
        form,
        vcpu,
        vector,
    })
}

const fn bad(field: &'static str, value: u64) -> DecodeError {
    DecodeError::BadField { field, value }
}

pub(crate) fn read_vcpu(number: u8) -> Result<VcpuId, DecodeError> {
    VcpuId::new(number).map_err(|_| bad("vcpu", number.into()))
}

fn decode_request(body: &RequestBody) -> Result<IoRequest, DecodeError> {
    let (address, value) = (body.address.get(), body.value.get());
    let size = AccessSize::from_bytes(body.size.into()).ok_or(bad("size", body.size.into()))?;
    let (space, last) = match body.space {
        0 => (Space::Port, u64::from(u16::MAX)),
        1 => (Space::Memory, u64::MAX),
        other => return Err(bad("space", other.into())),
    };
    let room = last.checked_sub(address);
    if room.is_none_or(|room| room < size.bytes() as u64 - 1) {
        return Err(bad("address", address));
    }
    let op = match (body.write, value) {
        (0, 0) => Op::Read,
        (1, value) if value <= size.ones() => Op::Write(value),
        (0 | 1, value) => return Err(bad("value", value)),
        (other, _) => return Err(bad("write", other.into())),
    };
    let token = match (body.token.get(), op) {
        (POSTED, Op::Read) => return Err(bad("token", POSTED)),
        (POSTED, Op::Write(_)) => None,
        (number, _) => Some(Token(number)),
    };
    Ok(IoRequest {
        token,
        vcpu: read_vcpu(body.vcpu)?,
        access: Access {
            space,
            address,
            size,
            op,
        },
    })
}

fn decode_reply(body: &ReplyBody) -> Result<IoReply, DecodeError> {
    let value = body.value.get();
    let result = match body.status {
        0 => Ok(value),
        1..=3 if value != 0 => return Err(bad("value", value)),
        1 => Err(DeviceError::Unsupported),
        2 => Err(DeviceError::Backend),
        3 => Err(DeviceError::Broken),
        other => return Err(bad("status", other.into())),
    };
    Ok(IoReply {
        token: Token(body.token.get()),
        result,
    })
}

fn decode_interrupt(body: &InterruptBody) -> Result<DeviceInterrupt, DecodeError> {
    let msi = Msi {
        address: body.address.get(),
        data: body.data.get(),
    };
    match body.form {
        0 if body.vcpu != 0 => Err(bad("vcpu", body.vcpu.into())),
        0 if body.vector != 0 => Err(bad("vector", body.vector.into())),
        0 => Ok(DeviceInterrupt::Msi(msi)),
        1 if msi.address != 0 => Err(bad("address", msi.address)),
        1 if msi.data != 0 => Err(bad("data", msi.data.into())),
        1 if body.vector < LOWEST_VECTOR => Err(bad("vector", body.vector.into())),
        1 => Ok(DeviceInterrupt::Vector {
            vcpu: read_vcpu(body.vcpu)?,
            vector: body.vector,
        }),
        other => Err(bad("form", other.into())),
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
