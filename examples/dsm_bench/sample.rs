//! Times of one thing, and what several rounds make of them.

use std::time::{Duration, Instant};

/// Points of a drawn distribution.
const STEPS: usize = 200;

/// The times of one thing in one round, in nanoseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times(Vec<u64>);

impl Times {
    /// Times `work` once.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(start.elapsed());
        result
    }

    fn add(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.push(ns);
    }

    /// The time in microseconds that `percent` of a hundred samples do not exceed; 0 without
    /// samples.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let at = (last * percent.min(100)).div_ceil(100);
        sorted.get(at).map_or(0.0, |&ns| ns as f64 / 1e3)
    }

    /// Each time with the one of `other` at the same place.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        let sums = self.0.iter().zip(&other.0).map(|(one, two)| one + two);
        Self(sums.collect())
    }

    /// Those of several rounds together.
    pub(crate) fn all<'a>(rounds: impl IntoIterator<Item = &'a Self>) -> Self {
        Self(
            rounds
                .into_iter()
                .flat_map(|times| &times.0)
                .copied()
                .collect(),
        )
    }

    /// Microseconds, and the share of samples that do not exceed them, in few steps.
    pub(crate) fn distribution(&self) -> Vec<(f64, f64)> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let steps =
            (0..=STEPS.min(last)).map(|step| (step * last).div_ceil(STEPS.min(last).max(1)));
        steps
            .filter_map(|at| {
                Some((
                    *sorted.get(at)? as f64 / 1e3,
                    (at + 1) as f64 / (last + 1) as f64,
                ))
            })
            .collect()
    }

    /// Adds those of `more`.
    pub(crate) fn append(&mut self, mut more: Self) {
        self.0.append(&mut more.0);
    }

    /// All but the slowest twentieth.
    pub(crate) fn without_slowest(&self) -> Self {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.truncate(sorted.len() - sorted.len() / 20);
        Self(sorted)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// All times together, in seconds.
    pub(crate) fn total(&self) -> f64 {
        self.0.iter().map(|&ns| ns as f64 / 1e9).sum()
    }

    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_come_from_the_sorted_samples() {
        let mut times = Times::default();
        assert_eq!(times.median(), 0.0);
        (0..=100)
            .rev()
            .for_each(|us| times.add(Duration::from_micros(us)));
        assert_eq!((times.median(), times.percentile(99)), (50.0, 99.0));
        assert_eq!(times.plus(&times).median(), 100.0);
        assert_eq!(Times::all([&times, &Times::default()]).median(), 50.0);
        assert_eq!(times.without_slowest().percentile(100), 95.0);
        times.time(|| ());
        times.append(Times::default());
        assert!(times.total() >= 0.00505 && times.count() == 102);
    }

    #[test]
    fn a_distribution_ends_with_all_samples() {
        assert_eq!(Times::default().distribution(), []);
        let times = Times(vec![3000, 1000]);
        assert_eq!(times.distribution(), [(1.0, 0.5), (3.0, 1.0)]);
        let many = Times((1..=5000).collect()).distribution();
        assert_eq!((many.len(), many[STEPS]), (STEPS + 1, (5.0, 1.0)));
    }
}
