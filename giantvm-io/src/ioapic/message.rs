//! What nodes tell one another about interrupt lines.

use giantvm_core::wire::{Body, DecodeError, Frame, read_body};
use giantvm_core::{LOWEST_VECTOR, Msi};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Pin;

/// A message about interrupt lines, part of [`IoMessage`](crate::IoMessage).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineMessage {
    /// To the IOAPIC's node: a device of the sender moves its line.
    Level {
        /// The line.
        pin: Pin,
        /// Whether it is asserted now.
        asserted: bool,
    },
    /// To the IOAPIC's node: a device of the sender asserts its line for a moment.
    Pulse(Pin),
    /// To the IOAPIC's node: a vCPU of the sender ended a level-triggered interrupt.
    End {
        /// The interrupt's vector, at least [`LOWEST_VECTOR`].
        vector: u8,
    },
    /// To all other nodes: the line's level-triggered message, or that there is none.
    Route {
        /// The line.
        pin: Pin,
        /// A level-triggered message with a vector.
        msi: Option<Msi>,
    },
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct LineBody {
    pin: u8,
    /// 0: let go, 1: asserted, 2: for a moment.
    action: u8,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RouteBody {
    address: U64,
    data: U32,
    pin: u8,
    present: u8,
}

impl LineMessage {
    /// The kinds of the messages: a line moves, an interrupt ended, a route changed.
    pub(crate) const KINDS: [u8; 3] = [LINE, END, ROUTE];

    pub(crate) fn encode(self) -> (u8, Body) {
        let line = |pin: Pin, action| {
            let pin = pin.get();
            (LINE, Body::of(&LineBody { pin, action }))
        };
        match self {
            Self::Level { pin, asserted } => line(pin, asserted.into()),
            Self::Pulse(pin) => line(pin, 2),
            Self::End { vector } => (END, Body::of(&vector)),
            Self::Route { pin, msi } => {
                let (address, data) = msi.map_or((0, 0), |msi| (msi.address, msi.data));
                let body = RouteBody {
                    address: address.into(),
                    data: data.into(),
                    pin: pin.get(),
                    present: msi.is_some().into(),
                };
                (ROUTE, Body::of(&body))
            }
        }
    }

    /// The message of a frame whose kind is one of [`KINDS`](Self::KINDS).
    pub(crate) fn decode(frame: &Frame) -> Result<Self, DecodeError> {
        match frame.kind {
            LINE => decode_line(&read_body(frame)?),
            END => match read_body(frame)? {
                vector @ LOWEST_VECTOR.. => Ok(Self::End { vector }),
                vector => Err(bad("vector", vector.into())),
            },
            _ => decode_route(&read_body(frame)?),
        }
    }
}

const LINE: u8 = 8;
const END: u8 = 9;
const ROUTE: u8 = 10;

const fn bad(field: &'static str, value: u64) -> DecodeError {
    DecodeError::BadField { field, value }
}

fn read_pin(number: u8) -> Result<Pin, DecodeError> {
    Pin::new(number).map_err(|_| bad("pin", number.into()))
}

fn decode_line(body: &LineBody) -> Result<LineMessage, DecodeError> {
    let pin = read_pin(body.pin)?;
    match body.action {
        0 | 1 => Ok(LineMessage::Level {
            pin,
            asserted: body.action == 1,
        }),
        2 => Ok(LineMessage::Pulse(pin)),
        other => Err(bad("action", other.into())),
    }
}

fn decode_route(body: &RouteBody) -> Result<LineMessage, DecodeError> {
    let pin = read_pin(body.pin)?;
    let (address, data) = (body.address.get(), body.data.get());
    let msi = Msi { address, data };
    let msi = match body.present {
        0 if address != 0 => return Err(bad("address", address)),
        0 if data != 0 => return Err(bad("data", data.into())),
        0 => None,
        1 => {
            let target = msi.decode().map_err(|_| bad("address", address))?;
            if !target.level_triggered {
                return Err(bad("data", data.into()));
            }
            Some(msi)
        }
        other => return Err(bad("present", other.into())),
    };
    Ok(LineMessage::Route { pin, msi })
}

#[cfg(test)]
mod tests {
    use giantvm_core::wire::Service;
    use giantvm_core::{Epoch, NodeId};

    use super::*;

    fn decode(kind: u8, body: &[u8]) -> Result<LineMessage, DecodeError> {
        let frame = Frame::control(Service::Io, kind, NodeId::ZERO, Epoch::FIRST, body);
        LineMessage::decode(&frame.unwrap())
    }

    #[test]
    fn each_bad_field_has_its_error() {
        assert_eq!(decode(LINE, &[24, 0]), Err(bad("pin", 24)));
        assert_eq!(decode(LINE, &[23, 3]), Err(bad("action", 3)));
        assert_eq!(decode(END, &[15]), Err(bad("vector", 15)));
        let route = |address: u64, data: u32, pin, present| {
            let mut body = address.to_le_bytes().to_vec();
            body.extend(data.to_le_bytes());
            body.extend([pin, present]);
            decode(ROUTE, &body)
        };
        assert_eq!(route(0, 0, 24, 0), Err(bad("pin", 24)));
        assert_eq!(route(1, 0, 0, 0), Err(bad("address", 1)));
        assert_eq!(route(0, 1, 0, 0), Err(bad("data", 1)));
        assert_eq!(
            route(0xfed0_0000, 0xc041, 0, 1),
            Err(bad("address", 0xfed0_0000))
        );
        assert_eq!(route(0xfee0_0000, 0x41, 0, 1), Err(bad("data", 0x41)));
        assert_eq!(route(0xfee0_0000, 0xc041, 0, 2), Err(bad("present", 2)));
    }
}
