//! Values on pages of their own.

use std::ops::Deref;

use zerocopy::FromBytes;

/// A value that shares no page of 4 KiB with anything else.
///
/// Pages move between nodes as a whole: two things that different nodes use at the same time and
/// that lie on one page take it from each other all the time. Where pages are larger than 4 KiB,
/// leave as much room by hand.
///
/// ```
/// use giantvm_dsm::sync::OwnPages;
///
/// assert_eq!(size_of::<[OwnPages<u64>; 2]>(), 2 * 4096);
/// ```
#[derive(Debug, Default, FromBytes)]
#[repr(C, align(4096))]
pub struct OwnPages<T>(
    /// The value.
    pub T,
);

impl<T> Deref for OwnPages<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
