//! Logical time.

/// A point in logical time, after Lamport: whatever can have been caused by something has a stamp
/// that is not smaller.
///
/// ```
/// use giantvm_core::Stamp;
///
/// assert!(Stamp::ZERO < Stamp(7).after());
/// assert_eq!(Stamp(3).max(Stamp(7)), Stamp(7));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The beginning.
    pub const ZERO: Self = Self(0);

    /// The next point. The last one has no next and stays.
    #[must_use]
    pub const fn after(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
