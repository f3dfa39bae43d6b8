//! The wire form of the messages: fixed little-endian layouts, every field checked.

use giantvm_core::wire::{Body, DecodeError, Frame, Service, read_body, read_node, read_version};
use giantvm_core::{NodeId, NodeSet, PageIndex, Version};
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::message::{Message, Request, Source, Token, Want};
use crate::protocol::PageMessage;
use crate::protocol::checks::bad;

/// Numbers of the message kinds on the wire.
mod kind {
    pub(super) const REQUEST: u8 = 1;
    pub(super) const TOKEN: u8 = 2;
    pub(super) const INVALIDATE: u8 = 3;
    pub(super) const ACKNOWLEDGE: u8 = 4;
}

/// The body of `Request`; `version` is zero but for an upgrade.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RequestBody {
    page: U64,
    version: U64,
    requester: u8,
    want: u8,
}

/// The body of `Token`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct TokenBody {
    page: U64,
    version: U64,
    sharers: U64,
    source: u8,
}

/// The body of `Invalidate` and `Acknowledge`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct VersionBody {
    page: U64,
    version: U64,
}

/// Most bytes of a body: five less than a frame holds, which the engine adds.
const MAX: usize = 35;
const _: () = assert!(size_of::<RequestBody>() <= MAX && size_of::<TokenBody>() <= MAX);

impl PageMessage for Message {
    fn page(&self) -> PageIndex {
        match *self {
            Self::Request { page, .. }
            | Self::Token { page, .. }
            | Self::Invalidate { page, .. }
            | Self::Acknowledge { page, .. } => page,
        }
    }

    fn encode(&self) -> (u8, Body) {
        let page = U64::new(self.page().0);
        let numbered = |version: Version| {
            let version = version.get().into();
            Body::of(&VersionBody { page, version })
        };
        match *self {
            Self::Request { request, .. } => (kind::REQUEST, request.encode(page)),
            Self::Token { token, .. } => (kind::TOKEN, token.encode(page)),
            Self::Invalidate { version, .. } => (kind::INVALIDATE, numbered(version)),
            Self::Acknowledge { version, .. } => (kind::ACKNOWLEDGE, numbered(version)),
        }
    }

    fn asks_for(&self, _: NodeId) -> Option<NodeId> {
        match self {
            Self::Request { request, .. } => Some(request.requester),
            _ => None,
        }
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
                    request: Request::decode(&body)?,
                })
            }
            kind::TOKEN => {
                let body: TokenBody = read_body(frame)?;
                Ok(Self::Token {
                    page: PageIndex(body.page.get()),
                    token: Token::decode(&body)?,
                })
            }
            kind::INVALIDATE | kind::ACKNOWLEDGE => {
                let body: VersionBody = read_body(frame)?;
                let page = PageIndex(body.page.get());
                let version = read_version("version", body.version.get())?;
                Ok(match frame.kind {
                    kind::INVALIDATE => Self::Invalidate { page, version },
                    _ => Self::Acknowledge { page, version },
                })
            }
            kind => Err(DecodeError::UnknownKind {
                service: frame.service,
                kind,
            }),
        }
    }
}

impl Request {
    const READ: u8 = 1;
    const WRITE: u8 = 2;
    const UPGRADE: u8 = 3;

    fn encode(self, page: U64) -> Body {
        let (want, version) = match self.want {
            Want::Read => (Self::READ, Version::ZERO),
            Want::Write => (Self::WRITE, Version::ZERO),
            Want::Upgrade(held) => (Self::UPGRADE, held),
        };
        Body::of(&RequestBody {
            page,
            version: version.get().into(),
            requester: self.requester.get(),
            want,
        })
    }

    fn decode(body: &RequestBody) -> Result<Self, DecodeError> {
        let requester = read_node("requester", body.requester)?;
        let version = body.version.get();
        let want = match (body.want, version) {
            (Self::READ, 0) => Want::Read,
            (Self::WRITE, 0) => Want::Write,
            (Self::READ | Self::WRITE, version) => return Err(bad("version", version)),
            (Self::UPGRADE, version) => Want::Upgrade(read_version("version", version)?),
            (want, _) => return Err(bad("want", want)),
        };
        Ok(Self { requester, want })
    }
}

impl Token {
    const ZERO: u8 = 0;
    const HELD: u8 = 1;
    const ATTACHED: u8 = 2;

    fn encode(self, page: U64) -> Body {
        Body::of(&TokenBody {
            page,
            version: self.version.get().into(),
            sharers: self.sharers.bits().into(),
            source: match self.source {
                Source::Zero => Self::ZERO,
                Source::Held => Self::HELD,
                Source::Attached => Self::ATTACHED,
            },
        })
    }

    fn decode(body: &TokenBody) -> Result<Self, DecodeError> {
        Ok(Self {
            version: read_version("version", body.version.get())?,
            sharers: NodeSet::from_bits(body.sharers.get()),
            source: match body.source {
                Self::ZERO => Source::Zero,
                Self::HELD => Source::Held,
                Self::ATTACHED => Source::Attached,
                source => return Err(bad("source", source)),
            },
        })
    }
}
