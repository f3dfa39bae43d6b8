//! How figures of several runs differ.

use serde::Serialize;

/// The smallest, the middle and the largest of some figures; no numbers if there are none.
///
/// ```
/// use giantvm_examples::spread::Spread;
///
/// let spread: Spread = [3.0, 1.0, 2.0, 8.0].into_iter().collect();
/// assert_eq!((spread.low, spread.median, spread.high), (1.0, 2.5, 8.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub low: f64,
    /// The middle one; of an even number of figures the mean of the two in the middle.
    pub median: f64,
    /// The largest.
    pub high: f64,
}

impl FromIterator<f64> for Spread {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        let mut figures: Vec<_> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        let last = figures.len().saturating_sub(1);
        Self {
            low: at(0),
            median: f64::midpoint(at(last / 2), at(last.div_ceil(2))),
            high: at(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_ends_and_the_middle() {
        let spread = Spread::from_iter([3.0, 1.0, 2.0]);
        assert_eq!((spread.low, spread.median, spread.high), (1.0, 2.0, 3.0));
        let spread = Spread::from_iter([3.0, 1.0, 2.0, 9.0]);
        assert_eq!((spread.low, spread.median, spread.high), (1.0, 2.5, 9.0));
        assert!(Spread::from_iter([]).median.is_nan());
    }
}
