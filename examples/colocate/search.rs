//! How many machines a policy can take and keep its promise.

use crate::outcome::Outcome;
use crate::run::{Kind, Setting, days};

/// vCPUs for each processor that is left, at least and at most.
const RANGE: (f64, f64) = (0.02, 1.0);
/// How often the range is halved.
pub(crate) const HALVINGS: u32 = 6;

/// One try: how many vCPUs, and what came of them.
#[derive(Debug, Clone)]
pub(crate) struct Try {
    pub(crate) sold: f64,
    pub(crate) outcome: Outcome,
}

/// All tries of one policy, by how many were sold.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pub(crate) tries: Vec<Try>,
    /// The one with most vCPUs that kept the promise; the least if none did.
    pub(crate) best: usize,
}

/// Finds how many vCPUs can be sold so that machines are at speed for this share of the time, by
/// halving what is between enough and too many.
pub(crate) fn search(
    setting: &Setting,
    kind: Kind,
    promise: f64,
    tick: &dyn Fn(),
) -> anyhow::Result<Search> {
    let (mut enough, mut many) = RANGE;
    let mut tries = Vec::new();
    for _ in 0..HALVINGS {
        let sold = f64::midpoint(enough, many);
        let outcome = days(setting, sold, kind, tick)?;
        if outcome.at_speed() >= promise {
            enough = sold;
        } else {
            many = sold;
        }
        tries.push(Try { sold, outcome });
    }
    tries.sort_by(|a, b| a.sold.total_cmp(&b.sold));
    let kept = |of: &Try| of.outcome.at_speed() >= promise;
    let best = tries.iter().rposition(kept).unwrap_or(0);
    Ok(Search { tries, best })
}
