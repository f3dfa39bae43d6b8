//! Frames read off bytes, and what becomes of each by its number.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use giantvm_core::wire::{Body, Frame, MAX_BODY, Service};
use giantvm_core::{Epoch, NodeId, PageSize, Stamp};
use giantvm_dsm::protocol::PageMessage;

use super::NODES;

/// Bytes to be read off; what is missing at the end is zero.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }
}

/// One of the peers of node 0.
pub(crate) fn peer(byte: u8) -> NodeId {
    NodeId::try_from(1 + usize::from(byte) % (NODES - 1)).expect("a small number")
}

/// What the driver has to do with a frame before its protocol sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is no message.
    NoMessage,
    /// It is the next one of its stream.
    Next,
    /// It was here before.
    Again,
    /// The one with this number is missing.
    Gap(u32),
}

/// The numbers of the next messages of each peer, without and with a page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Letters(BTreeMap<(NodeId, bool), u32>);

impl Letters {
    fn number(&self, from: NodeId, page: bool) -> u32 {
        self.0.get(&(from, page)).copied().unwrap_or(0)
    }

    pub(crate) fn arrives<M: PageMessage>(&mut self, frame: &Frame) -> Fate {
        let Some((_, page, number)) = open::<M>(frame) else {
            return Fate::NoMessage;
        };
        let stream = (frame.from, page);
        let expected = self.number(stream.0, stream.1);
        match number.wrapping_sub(expected) {
            0 => {
                self.0.insert(stream, expected.wrapping_add(1));
                Fate::Next
            }
            ahead if ahead < u32::MAX / 2 => Fate::Gap(expected),
            _ => Fate::Again,
        }
    }
}

/// The tags of letters that carry a page, the first of them as it is.
const PAGES: RangeInclusive<u8> = 1..=5;

/// The message in a frame, whether there is a page, and its number: behind the message's own body
/// comes a tag, which says what the payload is, and the number in four bytes.
pub(crate) fn open<M: PageMessage>(frame: &Frame) -> Option<(M, bool, u32)> {
    let (inner, &[tag, ref number @ ..]) = frame.body.as_slice().split_last_chunk::<5>()?;
    let inner = Frame {
        body: Body::new(inner).ok()?,
        ..frame.clone()
    };
    let fits = match (tag, frame.payload.len()) {
        (0 | 0x20, length) => length == 0,
        (0x10 | 0x30, length) => length == 16,
        (1, length) => length == PageSize::K4.bytes(),
        (tag, _) => PAGES.contains(&tag),
    };
    let message = M::decode(&inner).ok().filter(|_| fits)?;
    Some((message, PAGES.contains(&tag), u32::from_le_bytes(*number)))
}

/// The kind of a frame that is several letters, and how many there are at most.
const SHEAF: u8 = 254;
pub(crate) const MOST: usize = 32;

/// The letters in a sheaf, if `frame` is one: of each the kind, how long its body is, and the body.
pub(crate) fn untie(frame: &Frame) -> Option<Vec<Frame>> {
    if frame.kind != SHEAF {
        return None;
    }
    let (mut rest, mut letters) = (&frame.payload[..], Vec::new());
    while let &[kind, length, ref more @ ..] = rest {
        let (body, after) = more.split_at_checked(length.into())?;
        let (body, payload) = (Body::new(body).ok()?, Bytes::new());
        letters.push(Frame {
            kind,
            body,
            payload,
            ..*frame
        });
        rest = after;
    }
    rest.is_empty().then_some(letters)
}

/// Letters without payloads of one peer in one frame, of which `cut` bytes are missing.
pub(crate) fn bind(letters: &[Frame], cut: usize) -> Option<Frame> {
    let mut payload = Vec::new();
    for letter in letters {
        let body = letter.body.as_slice();
        payload.extend([letter.kind, u8::try_from(body.len()).ok()?]);
        payload.extend(body);
    }
    payload.truncate(payload.len().saturating_sub(cut));
    Some(Frame {
        kind: SHEAF,
        body: Body::EMPTY,
        payload: payload.into(),
        ..letters.first()?.clone()
    })
}

/// A frame, and whether its sender is lost if it is refused.
pub(crate) struct Letter {
    pub(crate) frame: Frame,
    pub(crate) severs: bool,
}

/// The next frame: flags, kind, perhaps a parcel, length of the body, body; most have the number that
/// is expected.
pub(crate) fn read(bytes: &mut Reader<'_>, letters: &Letters) -> Letter {
    let (flags, kind) = (bytes.byte(), bytes.byte());
    let from = peer(flags & 3);
    let (tag, payload) = match flags >> 2 & 3 {
        0 => (0, Vec::new()),
        1 => {
            let (tag, length) = (bytes.byte(), bytes.byte());
            (tag, (0..length).map(|_| bytes.byte()).collect())
        }
        2 => (1, vec![0xee; PageSize::K4.bytes()]),
        _ => (1, vec![0xee; 7]),
    };
    let number = letters.number(from, PAGES.contains(&tag));
    // The tag makes it one longer.
    let length = usize::from(bytes.byte()) % MAX_BODY;
    let mut body: Vec<u8> = (0..length).map(|_| bytes.byte()).collect();
    let number = match flags >> 4 & 3 {
        3 => number.wrapping_add_signed(bytes.byte().cast_signed().into()),
        _ => number,
    };
    if let Some(place) = body.last_chunk_mut().filter(|_| flags & 0x40 == 0) {
        *place = number.to_le_bytes();
    }
    if let Some(before) = body.len().checked_sub(size_of_val(&number)) {
        body.insert(before, tag);
    }
    // One epoch in sixteen kinds is wrong: kinds are few.
    let epoch = if kind >= 0xf0 { Epoch(9) } else { Epoch::FIRST };
    Letter {
        severs: flags & 0x80 != 0,
        frame: Frame {
            service: Service::Dsm,
            kind,
            from,
            epoch,
            stamp: Stamp::ZERO,
            body: Body::new(&body).expect("at most the longest"),
            payload: Bytes::from(payload),
        },
    }
}
