//! What several runs of one case come to.

use giantvm_examples::spread::Spread;
use serde::Serialize;

use crate::machine::Run;
use crate::matrix::Case;

/// The same case under both schedulers, one right after the other.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Pair {
    pub(crate) fair: Run,
    pub(crate) das: Run,
}

impl Pair {
    /// Of a run under `fair` and one under `das`.
    pub(crate) fn of(runs: Vec<Run>) -> Option<Self> {
        let [fair, das] = <[Run; 2]>::try_from(runs).ok()?;
        Some(Self { fair, das })
    }
}

/// A case and its pairs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    #[serde(flatten)]
    pub(crate) case: Case,
    pub(crate) fair_ms: Spread,
    pub(crate) das_ms: Spread,
    /// How many times longer `fair` took, pair by pair.
    pub(crate) ratio: Spread,
    /// Medians of both.
    pub(crate) remote_faults: [f64; 2],
    pub(crate) mebibytes: [f64; 2],
    /// Processor time of all nodes, in seconds; it counts what they did, and not what others kept them from.
    pub(crate) cpu_s: [f64; 2],
    pub(crate) pairs: Vec<Pair>,
}

impl Figures {
    pub(crate) fn new(case: Case, pairs: Vec<Pair>) -> Self {
        let of = |figure: fn(&Pair) -> f64| pairs.iter().map(figure).collect::<Spread>();
        let faults = [
            of(|pair| pair.fair.remote_faults as f64),
            of(|pair| pair.das.remote_faults as f64),
        ];
        let bytes = [
            of(|pair| pair.fair.bytes as f64),
            of(|pair| pair.das.bytes as f64),
        ];
        let cpu = [of(|pair| pair.fair.cpu_s), of(|pair| pair.das.cpu_s)];
        Self {
            case,
            cpu_s: cpu.map(|spread| spread.median),
            fair_ms: of(|pair| pair.fair.ms),
            das_ms: of(|pair| pair.das.ms),
            ratio: of(|pair| pair.fair.ms / pair.das.ms),
            remote_faults: faults.map(|spread| spread.median),
            mebibytes: bytes.map(|spread| spread.median / f64::from(1 << 20)),
            pairs,
        }
    }
}

/// The geometric mean; `None` of nothing.
pub(crate) fn geometric_mean(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = figures
        .into_iter()
        .fold((0.0, 0_u32), |(sum, count), figure| {
            (sum + figure.ln(), count + 1)
        });
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_geometric_mean_does_not_care_which_way_a_ratio_is_written() {
        assert_eq!(geometric_mean([]), None);
        let mean = geometric_mean([4.0, 0.25, 1.0]).unwrap();
        assert!((mean - 1.0).abs() < 1e-12);
    }
}
