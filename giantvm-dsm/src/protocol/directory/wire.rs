//! The wire form of the messages: fixed little-endian layouts, every field checked.

use giantvm_core::wire::{Body, DecodeError, Frame, Service, read_body, read_node, read_version};
use giantvm_core::{NodeId, NodeSet, PageIndex, Version};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::message::{Grant, Message, Source, Transaction, WHOLE};
use crate::protocol::checks::bad;
use crate::protocol::{Access, PageMessage, Rights};

/// Numbers of the message kinds on the wire.
mod kind {
    pub(super) const REQUEST: u8 = 1;
    pub(super) const GRANT: u8 = 2;
    pub(super) const FETCH: u8 = 3;
    pub(super) const INVALIDATE: u8 = 4;
    pub(super) const ACKNOWLEDGE: u8 = 5;
    pub(super) const DATA: u8 = 6;
    pub(super) const DONE: u8 = 7;
    pub(super) const EVICT: u8 = 8;
    pub(super) const RELEASE: u8 = 9;
    pub(super) const RETURNED: u8 = 10;
    pub(super) const MOVE: u8 = 11;
    pub(super) const REDIRECT: u8 = 12;
    pub(super) const YIELD: u8 = 13;
    pub(super) const RECALL: u8 = 14;
    pub(super) const PASS: u8 = 15;
    pub(super) const RECLAIM: u8 = 16;
    pub(super) const HEIR: u8 = 17;
    pub(super) const LEAVE: u8 = 18;
    pub(super) const AGREE: u8 = 19;
    pub(super) const BACK: u8 = 20;
    pub(super) const HURRY: u8 = 21;
}

/// The body of `Request`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RequestBody {
    page: U64,
    access: u8,
}

/// The body of `Grant`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct GrantBody {
    page: U64,
    version: U64,
    awaited: U64,
    transaction: U32,
    rights: u8,
    source: u8,
    supplier: u8,
    calm: u8,
}

/// The body of `Fetch`, and of `Invalidate` with `access` zero.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ForwardBody {
    page: U64,
    version: U64,
    transaction: U32,
    requester: u8,
    access: u8,
}

/// The body of `Evict`, `Yield`, `Recall`, `Reclaim` and `Hurry`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct PageBody {
    page: U64,
}

/// The body of `Redirect`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RedirectBody {
    page: U64,
    to: u8,
}

/// The body of `Heir`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct HeirBody {
    heir: u8,
}

/// The body of `Pass`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct PassBody {
    page: U64,
    version: U64,
    transaction: U32,
    owner: u8,
    rights: u8,
}

/// The body of `Release`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ReleaseBody {
    page: U64,
    version: U64,
    transaction: U32,
    take: u8,
}

/// The body of `Acknowledge`, `Done`, and of `Data`, `Returned` and `Move` with `version`; zero in
/// the others.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ReplyBody {
    page: U64,
    version: U64,
    transaction: U32,
}

const READ: u8 = 1;
const WRITE: u8 = 2;

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

const fn rights_number(rights: Rights) -> u8 {
    match rights {
        Rights::Read => READ,
        Rights::Write => WRITE,
    }
}

fn read_rights(number: u8) -> Result<Rights, DecodeError> {
    match number {
        READ => Ok(Rights::Read),
        WRITE => Ok(Rights::Write),
        _ => Err(bad("rights", number)),
    }
}

fn read_zero(field: &'static str, number: impl Into<u64>) -> Result<(), DecodeError> {
    match number.into() {
        0 => Ok(()),
        number => Err(bad(field, number)),
    }
}

fn read_bool(field: &'static str, number: u8) -> Result<bool, DecodeError> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(bad(field, number)),
    }
}

impl PageMessage for Message {
    fn page(&self) -> PageIndex {
        match *self {
            Self::Request { page, .. }
            | Self::Grant { page, .. }
            | Self::Fetch { page, .. }
            | Self::Invalidate { page, .. }
            | Self::Acknowledge { page, .. }
            | Self::Data { page, .. }
            | Self::Evict { page }
            | Self::Release { page, .. }
            | Self::Returned { page, .. }
            | Self::Done { page, .. }
            | Self::Move { page, .. }
            | Self::Redirect { page, .. }
            | Self::Yield { page }
            | Self::Recall { page }
            | Self::Hurry { page }
            | Self::Pass { page, .. }
            | Self::Reclaim { page } => page,
            Self::Heir { .. } | Self::Leave | Self::Agree | Self::Back => WHOLE,
        }
    }

    fn encode(&self) -> (u8, Body) {
        let page = U64::new(self.page().0);
        let forward = |version: Version, transaction: Transaction, requester: NodeId, access| {
            Body::of(&ForwardBody {
                page,
                version: version.get().into(),
                transaction: transaction.0.into(),
                requester: requester.get(),
                access,
            })
        };
        let reply = |transaction: Transaction, version: Version| {
            Body::of(&ReplyBody {
                page,
                version: version.get().into(),
                transaction: transaction.0.into(),
            })
        };
        match *self {
            Self::Request { access, .. } => {
                let access = access_number(access);
                (kind::REQUEST, Body::of(&RequestBody { page, access }))
            }
            Self::Grant { grant, .. } => (kind::GRANT, grant.encode(page)),
            Self::Fetch {
                transaction,
                version,
                requester,
                access,
                ..
            } => {
                let access = access_number(access);
                (
                    kind::FETCH,
                    forward(version, transaction, requester, access),
                )
            }
            Self::Invalidate {
                transaction,
                version,
                requester,
                ..
            } => (
                kind::INVALIDATE,
                forward(version, transaction, requester, 0),
            ),
            Self::Acknowledge { transaction, .. } => {
                (kind::ACKNOWLEDGE, reply(transaction, Version::ZERO))
            }
            Self::Data {
                transaction,
                version,
                ..
            } => (kind::DATA, reply(transaction, version)),
            Self::Evict { .. } => (kind::EVICT, Body::of(&PageBody { page })),
            Self::Release {
                transaction,
                version,
                take,
                ..
            } => {
                let body = ReleaseBody {
                    page,
                    version: version.get().into(),
                    transaction: transaction.0.into(),
                    take: take.into(),
                };
                (kind::RELEASE, Body::of(&body))
            }
            Self::Returned {
                transaction,
                version,
                ..
            } => (kind::RETURNED, reply(transaction, version)),
            Self::Done { transaction, .. } => (kind::DONE, reply(transaction, Version::ZERO)),
            Self::Move {
                transaction,
                version,
                ..
            } => (kind::MOVE, reply(transaction, version)),
            Self::Redirect { to, .. } => {
                let to = to.get();
                (kind::REDIRECT, Body::of(&RedirectBody { page, to }))
            }
            Self::Hurry { .. } => (kind::HURRY, Body::of(&PageBody { page })),
            Self::Yield { .. } => (kind::YIELD, Body::of(&PageBody { page })),
            Self::Recall { .. } => (kind::RECALL, Body::of(&PageBody { page })),
            Self::Pass {
                transaction,
                version,
                owner,
                rights,
                ..
            } => {
                let body = PassBody {
                    page,
                    version: version.get().into(),
                    transaction: transaction.0.into(),
                    owner: owner.get(),
                    rights: rights_number(rights),
                };
                (kind::PASS, Body::of(&body))
            }
            Self::Reclaim { .. } => (kind::RECLAIM, Body::of(&PageBody { page })),
            Self::Heir { heir } => {
                let heir = heir.get();
                (kind::HEIR, Body::of(&HeirBody { heir }))
            }
            Self::Leave => (kind::LEAVE, Body::EMPTY),
            Self::Agree => (kind::AGREE, Body::EMPTY),
            Self::Back => (kind::BACK, Body::EMPTY),
        }
    }

    fn asks_for(&self, sender: NodeId) -> Option<NodeId> {
        match *self {
            Self::Request { .. } | Self::Release { take: true, .. } => Some(sender),
            Self::Fetch { requester, .. } => Some(requester),
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
                    access: read_access(body.access)?,
                })
            }
            kind::GRANT => {
                let body: GrantBody = read_body(frame)?;
                Ok(Self::Grant {
                    page: PageIndex(body.page.get()),
                    grant: Grant::decode(&body)?,
                })
            }
            kind::FETCH | kind::INVALIDATE => Self::decode_forward(frame),
            kind::ACKNOWLEDGE | kind::DATA | kind::DONE | kind::RETURNED | kind::MOVE => {
                Self::decode_reply(frame)
            }
            kind::EVICT | kind::YIELD | kind::RECALL | kind::RECLAIM | kind::HURRY => {
                let body: PageBody = read_body(frame)?;
                let page = PageIndex(body.page.get());
                Ok(match frame.kind {
                    kind::EVICT => Self::Evict { page },
                    kind::YIELD => Self::Yield { page },
                    kind::RECALL => Self::Recall { page },
                    kind::RECLAIM => Self::Reclaim { page },
                    _ => Self::Hurry { page },
                })
            }
            kind::REDIRECT => {
                let body: RedirectBody = read_body(frame)?;
                Ok(Self::Redirect {
                    page: PageIndex(body.page.get()),
                    to: read_node("to", body.to)?,
                })
            }
            kind::PASS => {
                let body: PassBody = read_body(frame)?;
                Ok(Self::Pass {
                    page: PageIndex(body.page.get()),
                    transaction: Transaction(body.transaction.get()),
                    version: read_version("version", body.version.get())?,
                    owner: read_node("owner", body.owner)?,
                    rights: read_rights(body.rights)?,
                })
            }
            kind::RELEASE => {
                let body: ReleaseBody = read_body(frame)?;
                Ok(Self::Release {
                    page: PageIndex(body.page.get()),
                    transaction: Transaction(body.transaction.get()),
                    version: read_version("version", body.version.get())?,
                    take: read_bool("take", body.take)?,
                })
            }
            kind::HEIR => {
                let body: HeirBody = read_body(frame)?;
                let heir = read_node("heir", body.heir)?;
                Ok(Self::Heir { heir })
            }
            kind::LEAVE | kind::AGREE | kind::BACK => {
                let []: [u8; 0] = read_body(frame)?;
                Ok(match frame.kind {
                    kind::LEAVE => Self::Leave,
                    kind::AGREE => Self::Agree,
                    _ => Self::Back,
                })
            }
            kind => Err(DecodeError::UnknownKind {
                service: frame.service,
                kind,
            }),
        }
    }
}

impl Message {
    fn decode_forward(frame: &Frame) -> Result<Self, DecodeError> {
        let body: ForwardBody = read_body(frame)?;
        let page = PageIndex(body.page.get());
        let version = read_version("version", body.version.get())?;
        let transaction = Transaction(body.transaction.get());
        let requester = read_node("requester", body.requester)?;
        if frame.kind == kind::FETCH {
            return Ok(Self::Fetch {
                page,
                transaction,
                version,
                requester,
                access: read_access(body.access)?,
            });
        }
        read_zero("access", body.access)?;
        Ok(Self::Invalidate {
            page,
            transaction,
            version,
            requester,
        })
    }

    fn decode_reply(frame: &Frame) -> Result<Self, DecodeError> {
        let body: ReplyBody = read_body(frame)?;
        let page = PageIndex(body.page.get());
        let transaction = Transaction(body.transaction.get());
        if matches!(frame.kind, kind::DONE | kind::ACKNOWLEDGE) {
            read_zero("version", body.version.get())?;
        }
        let version = read_version("version", body.version.get())?;
        Ok(match frame.kind {
            kind::DATA => Self::Data {
                page,
                transaction,
                version,
            },
            kind::RETURNED => Self::Returned {
                page,
                transaction,
                version,
            },
            kind::MOVE => Self::Move {
                page,
                transaction,
                version,
            },
            kind::DONE => Self::Done { page, transaction },
            _ => Self::Acknowledge { page, transaction },
        })
    }
}

impl Grant {
    const ZERO: u8 = 0;
    const HELD: u8 = 1;
    const ATTACHED: u8 = 2;
    const NODE: u8 = 3;

    fn encode(self, page: U64) -> Body {
        let (source, supplier) = match self.source {
            Source::Zero => (Self::ZERO, 0),
            Source::Held => (Self::HELD, 0),
            Source::Attached => (Self::ATTACHED, 0),
            Source::Node(node) => (Self::NODE, node.get()),
        };
        Body::of(&GrantBody {
            page,
            version: self.version.get().into(),
            awaited: self.awaited.bits().into(),
            transaction: self.transaction.0.into(),
            rights: rights_number(self.rights),
            source,
            supplier,
            calm: self.calm.into(),
        })
    }

    fn decode(body: &GrantBody) -> Result<Self, DecodeError> {
        let source = match body.source {
            Self::NODE => Source::Node(read_node("supplier", body.supplier)?),
            source => {
                read_zero("supplier", body.supplier)?;
                match source {
                    Self::ZERO => Source::Zero,
                    Self::HELD => Source::Held,
                    Self::ATTACHED => Source::Attached,
                    _ => return Err(bad("source", source)),
                }
            }
        };
        Ok(Self {
            transaction: Transaction(body.transaction.get()),
            rights: read_rights(body.rights)?,
            version: read_version("version", body.version.get())?,
            source,
            awaited: NodeSet::from_bits(body.awaited.get()),
            calm: read_bool("calm", body.calm)?,
        })
    }
}
