//! The frame of a message: its own body, and behind it what its payload is and its number in its
//! stream.

use bytes::Bytes;
use giantvm_core::wire::{Body, DecodeError, EncodeError, Frame};

use super::parcel::Tag;
use crate::protocol::PageMessage;

/// Bytes of the tag and of the number.
const TAIL: usize = 1 + size_of::<u32>();

/// The kind and the body of the frame that carries `message`.
///
/// # Errors
/// [`EncodeError::BodyTooLong`] if the protocol's body leaves no room.
pub(crate) fn seal(
    message: &impl PageMessage,
    tag: Tag,
    number: u32,
) -> Result<(u8, Body), EncodeError> {
    let (kind, body) = message.encode();
    let [a, b, c, d] = number.to_le_bytes();
    Ok((kind, body.with(&[tag.number(), a, b, c, d])?))
}

/// The message in a frame, what its payload is, and its number.
///
/// # Errors
/// [`DecodeError`] if there is none.
pub(crate) fn open<M: PageMessage>(frame: &Frame) -> Result<(M, Tag, u32), DecodeError> {
    let (kind, bytes) = (frame.kind, frame.body.as_slice());
    let (service, got) = (frame.service, bytes.len());
    let short = DecodeError::BodyLength {
        service,
        kind,
        expected: TAIL,
        got,
    };
    let (inner, &[tag, ref number @ ..]) = bytes.split_last_chunk::<TAIL>().ok_or(short)?;
    let body = Body::new(inner).unwrap_or(Body::EMPTY);
    // Without the payload, which a message does not look at.
    let inner = Frame {
        body,
        payload: Bytes::new(),
        ..*frame
    };
    let tag = Tag::read(tag, &frame.payload)?;
    Ok((M::decode(&inner)?, tag, u32::from_le_bytes(*number)))
}
