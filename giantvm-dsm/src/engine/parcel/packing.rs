//! What a letter says of its payload: one byte.

use giantvm_core::wire::DecodeError;

use super::ask::Ask;
use super::digest::Digest;
use crate::protocol::Contents;

/// How a page is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Packing {
    /// As it is.
    Whole = 1,
    /// Not at all: it is full of zeroes.
    Zero = 2,
    /// The lines that differ from a base.
    Delta = 3,
    /// Compressed.
    Lz4 = 4,
    /// The lines that differ from a base, compressed.
    Lz4Delta = 5,
}

impl Packing {
    /// All packings, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Whole,
        Self::Zero,
        Self::Delta,
        Self::Lz4,
        Self::Lz4Delta,
    ];
}

/// What a letter says of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tag {
    /// There is no page, and perhaps what an answer's page may be packed as.
    Bare(Ask),
    /// There is a page, packed like this.
    Page(Packing),
}

/// The bits of a bare letter's tag.
const BASE: u8 = 0x10;
const SQUEEZE: u8 = 0x20;

impl Tag {
    /// The tag of a letter whose payload is empty or a page as it is.
    #[cfg(feature = "testing")]
    pub(crate) const fn plain(contents: Contents) -> Self {
        match contents {
            Contents::Nothing => Self::Bare(Ask::NOTHING),
            Contents::Page => Self::Page(Packing::Whole),
        }
    }

    /// What the protocol takes the payload for.
    pub(crate) const fn contents(self) -> Contents {
        match self {
            Self::Bare(_) => Contents::Nothing,
            Self::Page(_) => Contents::Page,
        }
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Bare(ask) => {
                let base = if ask.base.is_some() { BASE } else { 0 };
                base | if ask.squeeze { SQUEEZE } else { 0 }
            }
            Self::Page(packing) => packing as u8,
        }
    }

    /// The tag of a number and of the payload that came with it. A page's payload is looked at when
    /// it is [unpacked](super::unpack()).
    pub(crate) fn read(number: u8, payload: &[u8]) -> Result<Self, DecodeError> {
        if let Some(&packing) = Packing::ALL.iter().find(|&&it| it as u8 == number) {
            return Ok(Self::Page(packing));
        }
        let squeeze = number & SQUEEZE != 0;
        let base = match (number & !SQUEEZE, <[u8; Digest::BYTES]>::try_from(payload)) {
            (0, _) if payload.is_empty() => None,
            (BASE, Ok(digest)) => Some(Digest::from_bytes(digest)),
            (0 | BASE, _) => return Err(bad("payload", payload.len() as u64)),
            _ => return Err(bad("packing", number.into())),
        };
        Ok(Self::Bare(Ask { base, squeeze }))
    }
}

const fn bad(field: &'static str, value: u64) -> DecodeError {
    DecodeError::BadField { field, value }
}
