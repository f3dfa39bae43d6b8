//! The frame of a message: its own body, and behind it its number in its stream.

use giantvm_core::wire::{Body, DecodeError, EncodeError, Frame};

use crate::protocol::PageMessage;

/// Bytes of the number.
const NUMBER: usize = size_of::<u32>();

/// The kind and the body of the frame that carries `message`.
///
/// # Errors
/// [`EncodeError::BodyTooLong`] if the protocol's body leaves no room.
pub(crate) fn seal(message: &impl PageMessage, number: u32) -> Result<(u8, Body), EncodeError> {
    let (kind, body) = message.encode();
    Ok((kind, body.with(&number.to_le_bytes())?))
}

/// The message in a frame, and its number.
///
/// # Errors
/// [`DecodeError`] if there is none.
pub(crate) fn open<M: PageMessage>(frame: &Frame) -> Result<(M, u32), DecodeError> {
    let (kind, bytes) = (frame.kind, frame.body.as_slice());
    let (service, got) = (frame.service, bytes.len());
    let short = DecodeError::BodyLength {
        service,
        kind,
        expected: NUMBER,
        got,
    };
    let (inner, number) = bytes.split_last_chunk::<NUMBER>().ok_or(short)?;
    let body = Body::new(inner).unwrap_or(Body::EMPTY);
    let inner = Frame {
        body,
        ..frame.clone()
    };
    Ok((M::decode(&inner)?, u32::from_le_bytes(*number)))
}
