//! Logical time.

use std::fmt;

/// A point in logical time: a number that grows along every chain of cause and effect.
///
/// If one event can have led to another, on whatever node, the second one's stamp is not below the
/// first one's. The reverse says nothing: of two events with different stamps neither need know of
/// the other. It has nothing to do with clocks on walls.
///
/// ```
/// use giantvm_core::Stamp;
///
/// let here = Stamp(7);
/// let heard = Stamp(9);
/// // Who hears of a later time lives in it from then on, and acts after it.
/// let now = here.max(heard);
/// assert_eq!(now, Stamp(9));
/// assert!(now.after() > heard);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The beginning, before anything happened.
    pub const ZERO: Self = Self(0);
    /// The last point there is.
    pub const MAX: Self = Self(u64::MAX);

    /// The next point; [`MAX`](Self::MAX), which has none, stays where it is.
    ///
    /// At a thousand million points a second the numbers last for 584 years. A peer can name any
    /// of them, though, so whoever must be able to count on needs a check of its own.
    #[must_use]
    pub const fn after(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stops_at_its_end_rather_than_wrap() {
        assert_eq!(Stamp::ZERO.after(), Stamp(1));
        assert_eq!(Stamp::MAX.after(), Stamp::MAX);
    }
}
