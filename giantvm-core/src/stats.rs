//! Latency statistics that cost one histogram increment a sample.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Significant decimal digits that a [`Latency`] keeps.
const DIGITS: u8 = 2;
/// The longest time a [`Latency`] tells apart, in nanoseconds; a longer one counts as this.
const LONGEST_NS: u64 = 60_000_000_000;

/// A histogram of durations with two significant digits, up to one minute.
///
/// ```
/// use std::time::Duration;
/// use giantvm_core::stats::Latency;
///
/// let mut faults = Latency::new();
/// for us in 1..=100 {
///     faults.record(Duration::from_micros(us));
/// }
/// let median = faults.quantile(0.5).unwrap();
/// assert!((49..=51).contains(&median.as_micros()));
/// ```
#[derive(Clone)]
pub struct Latency {
    histogram: Histogram<u64>,
}

impl Latency {
    /// A histogram without samples.
    ///
    /// # Panics
    /// Never: the bounds are constants that the histogram accepts.
    #[must_use]
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS);
        Self {
            histogram: histogram.expect("constant bounds are valid"),
        }
    }

    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(LONGEST_NS);
        self.histogram.saturating_record(ns);
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The duration that a share of `q` (0.0 to 1.0) of the samples does not exceed; `None`
    /// without samples.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_nanos(self.histogram.value_at_quantile(q)))
    }

    /// Adds the samples of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.histogram
            .add(&other.histogram)
            .expect("equal bounds always add");
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency")
            .field("count", &self.count())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_past_the_range_counts_as_the_longest() {
        let mut latency = Latency::new();
        latency.record(Duration::from_secs(3600));
        latency.record(Duration::ZERO);
        assert_eq!(latency.count(), 2);
        assert!(latency.quantile(1.0).unwrap() >= Duration::from_secs(59));
    }

    #[test]
    fn merging_adds_the_samples() {
        let (mut a, mut b) = (Latency::new(), Latency::new());
        a.record(Duration::from_micros(1));
        b.record(Duration::from_micros(100));
        a.merge(&b);
        assert_eq!(a.count(), 2);
        assert_eq!(Latency::new().quantile(0.5), None);
    }
}
