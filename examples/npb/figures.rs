//! What several runs of one case come to.

use giantvm_examples::spread::Spread;
use serde::Serialize;

use crate::machine::Run;
use crate::matrix::Case;

/// The same case under both schedulers and on one node, one right after the other.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    pub(crate) fair: Run,
    pub(crate) das: Run,
    pub(crate) alone: Run,
}

impl Round {
    /// Of runs in the order of [`Setup::ALL`](crate::machine::Setup::ALL).
    pub(crate) fn of(runs: Vec<Run>) -> Option<Self> {
        let [fair, das, alone] = <[Run; 3]>::try_from(runs).ok()?;
        Some(Self { fair, das, alone })
    }
}

/// A case and its rounds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    #[serde(flatten)]
    pub(crate) case: Case,
    pub(crate) fair_ms: Spread,
    pub(crate) das_ms: Spread,
    pub(crate) alone_ms: Spread,
    /// How many times longer `fair` took, round by round.
    pub(crate) ratio: Spread,
    /// How many times longer `fair` took than the same vCPUs on one node.
    pub(crate) to_alone: Spread,
    /// Medians of both schedulers.
    pub(crate) remote_faults: [f64; 2],
    pub(crate) mebibytes: [f64; 2],
    /// Processor time of all nodes, in seconds; it counts what they did, and not what others kept them from.
    pub(crate) cpu_s: [f64; 2],
    pub(crate) rounds: Vec<Round>,
}

impl Figures {
    pub(crate) fn new(case: Case, rounds: Vec<Round>) -> Self {
        let of = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Spread>();
        let faults = [
            of(|of| of.fair.remote_faults as f64),
            of(|of| of.das.remote_faults as f64),
        ];
        let bytes = [of(|of| of.fair.bytes as f64), of(|of| of.das.bytes as f64)];
        let cpu = [of(|of| of.fair.cpu_s), of(|of| of.das.cpu_s)];
        Self {
            case,
            cpu_s: cpu.map(|spread| spread.median),
            fair_ms: of(|of| of.fair.ms),
            das_ms: of(|of| of.das.ms),
            alone_ms: of(|of| of.alone.ms),
            to_alone: of(|of| of.fair.ms / of.alone.ms),
            ratio: of(|of| of.fair.ms / of.das.ms),
            remote_faults: faults.map(|spread| spread.median),
            mebibytes: bytes.map(|spread| spread.median / f64::from(1 << 20)),
            rounds,
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
