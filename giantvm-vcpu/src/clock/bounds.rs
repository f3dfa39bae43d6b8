//! What is known for certain of how far a clock is ahead of another.

/// How far another clock is ahead of the own: `low` at the least and `high` at the most, which may be
/// negative. In nanoseconds, or ticks where counters are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At the least.
    pub low: i64,
    /// At the most; never less than `low`.
    pub high: i64,
}

impl Bounds {
    /// Whether this is possible.
    #[must_use]
    pub const fn contains(self, ahead: i64) -> bool {
        self.low <= ahead && ahead <= self.high
    }

    /// The middle, rounded down: what is wrong by least, at the most.
    #[must_use]
    pub const fn middle(self) -> i64 {
        // Rounded so that no sum overflows.
        (self.low & self.high) + ((self.low ^ self.high) >> 1)
    }

    /// What both allow; `None` if they contradict one another.
    #[must_use]
    pub fn and(self, other: Self) -> Option<Self> {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        (low <= high).then_some(Self { low, high })
    }

    /// The same with so much less known on either side.
    #[must_use]
    pub const fn widened(self, by: u64) -> Self {
        Self {
            low: self.low.saturating_sub_unsigned(by),
            high: self.high.saturating_add_unsigned(by),
        }
    }

    /// The same of a clock that is `by` ahead of the other one.
    #[must_use]
    pub const fn moved(self, by: i64) -> Self {
        Self {
            low: self.low.saturating_add(by),
            high: self.high.saturating_add(by),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bounds() -> impl Strategy<Value = Bounds> {
        any::<(i64, i64)>().prop_map(|(one, other)| Bounds {
            low: one.min(other),
            high: one.max(other),
        })
    }

    proptest! {
        #[test]
        fn the_middle_is_nearest_to_both_ends(bounds in bounds()) {
            let middle = bounds.middle();
            prop_assert!(bounds.contains(middle));
            let (down, up) = (middle.abs_diff(bounds.low), bounds.high.abs_diff(middle));
            prop_assert!(up - down <= 1);
        }

        #[test]
        fn both_allow_what_each_allows(one in bounds(), other in bounds(), ahead: i64, by: u64) {
            let both = one.and(other).is_some_and(|both| both.contains(ahead));
            prop_assert_eq!(both, one.contains(ahead) && other.contains(ahead));
            prop_assert!(!one.contains(ahead) || one.widened(by).contains(ahead));
        }
    }
}
