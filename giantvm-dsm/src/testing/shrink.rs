//! Makes a failing scenario small, so that a person can follow it.

use super::failure::Failure;
use super::inspect::Inspect;
use super::scenario::Scenario;
use crate::protocol::Setup;

/// Most runs that shrinking takes.
const MAX_RUNS: usize = 2_000;

/// The smallest part of `scenario` found that fails by the same law as `failure`.
///
/// Takes away runs of operations and disturbances, half of them first, then ever smaller ones, for
/// as long as what is left still fails (delta debugging, after Zeller).
pub(super) fn shrink<P: Inspect>(
    scenario: &Scenario,
    failure: Failure,
    make: &dyn Fn(Setup) -> P,
) -> Failure {
    let mut best = (scenario.clone(), failure);
    let mut runs = 0;
    let mut chunk = (scenario.ops.len() + scenario.chaos.len()).div_ceil(2);
    while chunk > 0 {
        let (mut at, before) = (0, length(&best.0));
        while at < length(&best.0) && runs < MAX_RUNS {
            let smaller = without(&best.0, at, chunk);
            runs += 1;
            match smaller.run(make) {
                Err(failure) if failure.law() == best.1.law() => best = (smaller, failure),
                Ok(_) | Err(_) => at += chunk,
            }
        }
        // Once more with single ones for as long as that helps.
        if chunk > 1 || length(&best.0) == before || runs >= MAX_RUNS {
            chunk /= 2;
        }
    }
    let (scenario, failure) = best;
    Failure {
        scenario: Some(Box::new(scenario)),
        ..failure
    }
}

fn length(scenario: &Scenario) -> usize {
    scenario.ops.len() + scenario.chaos.len()
}

/// The scenario without `count` operations and disturbances from place `at` on.
fn without(scenario: &Scenario, at: usize, count: usize) -> Scenario {
    let gone = at..at + count;
    let ops = scenario.ops.len();
    let kept = |place: usize| !gone.contains(&place);
    let keep_op = |(place, op): (usize, &_)| kept(place).then_some(*op);
    let keep_chaos = |(place, chaos): (usize, &_)| kept(ops + place).then_some(*chaos);
    Scenario {
        config: scenario.config.clone(),
        ops: scenario
            .ops
            .iter()
            .enumerate()
            .filter_map(keep_op)
            .collect(),
        chaos: scenario
            .chaos
            .iter()
            .enumerate()
            .filter_map(keep_chaos)
            .collect(),
    }
}
