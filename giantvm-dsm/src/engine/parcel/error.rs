//! Why a parcel cannot be unpacked.

use super::digest::Digest;
use super::packing::Packing;

/// A payload that no correct peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadParcel {
    /// The payload has a length that its packing cannot have.
    #[error("{packing:?} parcel of {got} bytes")]
    Length {
        /// The packing.
        packing: Packing,
        /// Bytes of the payload.
        got: usize,
    },
    /// The delta is against bytes that this node did not say it has.
    #[error("delta against an unknown base {0}")]
    UnknownBase(Digest),
    /// What is compressed is no page.
    #[error("{0:?} parcel that is not compressed bytes of the right length")]
    Compressed(Packing),
}
