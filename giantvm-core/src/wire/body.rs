//! Helpers with which services read their fixed-layout message bodies.

use zerocopy::FromBytes;

use super::{DecodeError, Frame};
use crate::{NodeId, Version};

/// Reads a body of exactly the layout `T`.
///
/// # Errors
/// [`DecodeError::BodyLength`] if the body has another length.
pub fn read_body<T: FromBytes>(frame: &Frame) -> Result<T, DecodeError> {
    T::read_from_bytes(frame.body.as_slice()).map_err(|_| DecodeError::BodyLength {
        service: frame.service,
        kind: frame.kind,
        expected: size_of::<T>(),
        got: frame.body.as_slice().len(),
    })
}

/// Reads a node number from a field named `field`.
///
/// # Errors
/// [`DecodeError::BadField`] if it is out of range.
pub fn read_node(field: &'static str, number: u8) -> Result<NodeId, DecodeError> {
    NodeId::new(number).map_err(|_| DecodeError::BadField {
        field,
        value: number.into(),
    })
}

/// Reads a page version from a field named `field`.
///
/// # Errors
/// [`DecodeError::BadField`] if it is out of range.
pub fn read_version(field: &'static str, number: u64) -> Result<Version, DecodeError> {
    Version::new(number).ok_or(DecodeError::BadField {
        field,
        value: number,
    })
}
