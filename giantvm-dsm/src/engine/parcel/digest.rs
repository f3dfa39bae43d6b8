//! What names the contents of a page.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

/// A 128-bit digest of a page's bytes, by which two nodes find that they hold the same.
///
/// Not against forgery: who can send pages can send wrong ones.
///
/// ```
/// use giantvm_dsm::engine::parcel::Digest;
///
/// let page = [7; 4096];
/// assert_eq!(Digest::of(&page), Digest::of(&page.clone()));
/// assert_ne!(Digest::of(&page), Digest::of(&[8; 4096]));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(u128);

impl Digest {
    /// Bytes of a digest on the wire.
    pub const BYTES: usize = size_of::<u128>();

    /// The digest of a page's bytes.
    #[must_use]
    pub fn of(page: &[u8]) -> Self {
        Self(xxh3_128(page))
    }

    /// The digest whose wire form is `bytes`.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }

    /// The wire form.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0.to_le_bytes()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
