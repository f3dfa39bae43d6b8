//! The wire form of the messages: fixed little-endian layouts, every field checked.

use giantvm_core::wire::{Body, DecodeError, Frame, Service, read_body};
use giantvm_core::{NodeId, PageIndex, Stamp};
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Lease;
use super::message::{Grant, Message, Order, Source};
use crate::protocol::checks::bad;
use crate::protocol::{Access, PageMessage, Rights};

/// Numbers of the message kinds on the wire.
mod kind {
    pub(super) const REQUEST: u8 = 1;
    pub(super) const GRANT: u8 = 2;
    pub(super) const RECALL: u8 = 3;
    pub(super) const RETURN: u8 = 4;
    pub(super) const EVICT: u8 = 5;
}

/// The body of `Request`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RequestBody {
    page: U64,
    clock: U64,
    held: U64,
    access: u8,
}

/// The body of `Grant`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct GrantBody {
    page: U64,
    written: U64,
    end: U64,
    rights: u8,
    source: u8,
}

/// The body of `Recall`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RecallBody {
    page: U64,
    grant: U64,
    wanted: U64,
    access: u8,
}

/// The body of `Return` and `Evict`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct StampBody {
    page: U64,
    stamp: U64,
}

const READ: u8 = 1;
const WRITE: u8 = 2;

const ZERO: u8 = 0;
const HELD: u8 = 1;
const ATTACHED: u8 = 2;

const fn access_number(access: Access) -> u8 {
    match access {
        Access::Read => READ,
        Access::Write => WRITE,
    }
}

fn read_access(number: u8) -> Result<Access, DecodeError> {
    match number {
        READ => Ok(Access::Read),
        WRITE => Ok(Access::Write),
        _ => Err(bad("access", number)),
    }
}

/// A time that a node which has not stopped may show.
fn read_stamp(field: &'static str, number: U64) -> Result<Stamp, DecodeError> {
    let stamp = Stamp(number.get());
    if stamp <= Lease::LAST {
        Ok(stamp)
    } else {
        Err(bad(field, number.get()))
    }
}

impl PageMessage for Message {
    fn page(&self) -> PageIndex {
        match *self {
            Self::Request { page, .. }
            | Self::Grant { page, .. }
            | Self::Recall { page, .. }
            | Self::Return { page, .. }
            | Self::Evict { page, .. } => page,
        }
    }

    fn encode(&self) -> (u8, Body) {
        let page = U64::new(self.page().0);
        let stamped = |stamp: Stamp| {
            let stamp = stamp.0.into();
            Body::of(&StampBody { page, stamp })
        };
        match *self {
            Self::Request {
                access,
                clock,
                held,
                ..
            } => {
                let body = RequestBody {
                    page,
                    clock: clock.0.into(),
                    held: held.0.into(),
                    access: access_number(access),
                };
                (kind::REQUEST, Body::of(&body))
            }
            Self::Grant { grant, .. } => (kind::GRANT, grant.encode(page)),
            Self::Recall { order, .. } => {
                let body = RecallBody {
                    page,
                    grant: order.grant.0.into(),
                    wanted: order.wanted.0.into(),
                    access: access_number(order.access),
                };
                (kind::RECALL, Body::of(&body))
            }
            Self::Return { written, .. } => (kind::RETURN, stamped(written)),
            Self::Evict { grant, .. } => (kind::EVICT, stamped(grant)),
        }
    }

    fn asks_for(&self, sender: NodeId) -> Option<NodeId> {
        matches!(self, Self::Request { .. } | Self::Recall { .. }).then_some(sender)
    }

    fn decode(frame: &Frame) -> Result<Self, DecodeError> {
        if frame.service != Service::Dsm {
            return Err(bad("service", frame.service as u8));
        }
        match frame.kind {
            kind::REQUEST => {
                let body: RequestBody = read_body(frame)?;
                Ok(Self::Request {
                    page: PageIndex(body.page.get()),
                    access: read_access(body.access)?,
                    clock: read_stamp("clock", body.clock)?,
                    held: read_stamp("held", body.held)?,
                })
            }
            kind::GRANT => {
                let body: GrantBody = read_body(frame)?;
                let page = PageIndex(body.page.get());
                let grant = Grant::decode(&body)?;
                Ok(Self::Grant { page, grant })
            }
            kind::RECALL => {
                let body: RecallBody = read_body(frame)?;
                let page = PageIndex(body.page.get());
                let order = Order::decode(&body)?;
                Ok(Self::Recall { page, order })
            }
            kind::RETURN => {
                let body: StampBody = read_body(frame)?;
                let page = PageIndex(body.page.get());
                let written = read_stamp("written", body.stamp)?;
                Ok(Self::Return { page, written })
            }
            kind::EVICT => {
                let body: StampBody = read_body(frame)?;
                let page = PageIndex(body.page.get());
                let grant = read_stamp("grant", body.stamp)?;
                Ok(Self::Evict { page, grant })
            }
            kind => Err(DecodeError::UnknownKind {
                service: frame.service,
                kind,
            }),
        }
    }
}

impl Order {
    fn decode(body: &RecallBody) -> Result<Self, DecodeError> {
        let order = Self {
            grant: read_stamp("grant", body.grant)?,
            access: read_access(body.access)?,
            wanted: read_stamp("wanted", body.wanted)?,
        };
        if order.access == Access::Write && order.wanted != Stamp::ZERO {
            return Err(bad("wanted", order.wanted.0));
        }
        Ok(order)
    }
}

impl Grant {
    fn encode(self, page: U64) -> Body {
        Body::of(&GrantBody {
            page,
            written: self.written.0.into(),
            end: self.end.0.into(),
            rights: match self.rights {
                Rights::Read => READ,
                Rights::Write => WRITE,
            },
            source: match self.source {
                Source::Zero => ZERO,
                Source::Held => HELD,
                Source::Attached => ATTACHED,
            },
        })
    }

    fn decode(body: &GrantBody) -> Result<Self, DecodeError> {
        Ok(Self {
            rights: match body.rights {
                READ => Rights::Read,
                WRITE => Rights::Write,
                rights => return Err(bad("rights", rights)),
            },
            written: read_stamp("written", body.written)?,
            end: read_stamp("end", body.end)?,
            source: match body.source {
                ZERO => Source::Zero,
                HELD => Source::Held,
                ATTACHED => Source::Attached,
                source => return Err(bad("source", source)),
            },
        })
    }
}
