//! What came out, workload by workload.

use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;

use crate::leg::{Leg, Trip};
use crate::plan::Plan;
use crate::vm::{PAGE, Size};
use crate::work::Work;
use crate::{movement, precopy};

/// What is asked for on average.
const BAR: f64 = 0.68;

/// One way, by one of the two means.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Way {
    pub(crate) mebibytes: f64,
    /// From the decision until full speed; none if it was not reached.
    pub(crate) full_ms: Option<f64>,
    pub(crate) lost_ms: f64,
    pub(crate) downtime_ms: f64,
    pub(crate) rounds: u32,
}

/// One workload. The first of each pair is there, the second back.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) work: Work,
    pub(crate) steps_of_a_turn: u64,
    /// How long a step takes when nothing moves, by either means.
    pub(crate) step_ms: [f64; 2],
    pub(crate) movement: [Way; 2],
    pub(crate) precopy: [Way; 2],
    /// Bytes saved, as a part of pre-copy's: there, back, and both together.
    pub(crate) saved: [f64; 3],
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) size: Size,
    pub(crate) used_mebibytes: u64,
    pub(crate) link: crate::link::Link,
    pub(crate) protocol: &'static str,
    pub(crate) rounds: u16,
    pub(crate) rows: Vec<Row>,
    /// The mean over the workloads.
    pub(crate) saved: [f64; 3],
    pub(crate) asked: f64,
    pub(crate) reached: bool,
}

/// Moves each workload by both means, by turns, so often.
pub(crate) fn report(
    plan: &Plan,
    works: &[Work],
    rounds: u16,
    bar: &ProgressBar,
) -> anyhow::Result<Report> {
    let mut rows = Vec::new();
    for &work in works {
        bar.set_message(work.name());
        let plan = Plan { work, ..*plan }.measured()?;
        let (mut moved, mut copied) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            moved.push(movement::trip(&plan)?);
            bar.inc(1);
            copied.push(precopy::trip(&plan)?);
            bar.inc(1);
        }
        rows.push(row(&plan, &moved, &copied));
    }
    let mean = |of: usize| rows.iter().map(|row| row.saved[of]).sum::<f64>() / rows.len() as f64;
    let saved = [mean(0), mean(1), mean(2)];
    Ok(Report {
        size: plan.size,
        used_mebibytes: (plan.used * PAGE) >> 20,
        link: plan.link,
        protocol: plan.protocol.name(),
        rounds,
        reached: saved[2] >= BAR,
        asked: BAR,
        saved,
        rows,
    })
}

fn row(plan: &Plan, moved: &[Trip], copied: &[Trip]) -> Row {
    let ways = |trips: &[Trip]| [0, 1].map(|leg| way(trips, leg));
    let (movement, precopy) = (ways(moved), ways(copied));
    let part = |ours: f64, theirs: f64| 1.0 - ours / theirs.max(f64::MIN_POSITIVE);
    let [there, back] = [0, 1].map(|leg| part(movement[leg].mebibytes, precopy[leg].mebibytes));
    let both = |ways: [Way; 2]| ways[0].mebibytes + ways[1].mebibytes;
    Row {
        work: plan.work,
        steps_of_a_turn: plan.turn,
        step_ms: [moved, copied].map(|trips| median(trips.iter().map(|trip| ms(trip.usual)))),
        saved: [there, back, part(both(movement), both(precopy))],
        movement,
        precopy,
    }
}

/// The medians over the trips.
fn way(trips: &[Trip], leg: usize) -> Way {
    let legs = || trips.iter().map(|trip| &trip.legs[leg]);
    let full = legs().filter_map(|leg| leg.full).map(ms);
    let is_reached = legs().filter(|leg| leg.full.is_none()).count() * 2 < trips.len();
    Way {
        mebibytes: median(legs().map(|leg| leg.bytes as f64 / (1 << 20) as f64)),
        full_ms: is_reached.then(|| median(full)),
        lost_ms: median(legs().map(|leg| ms(leg.lost))),
        downtime_ms: median(legs().map(|leg| ms(leg.downtime))),
        rounds: legs().map(|leg: &Leg| leg.rounds).max().unwrap_or(0),
    }
}

fn ms(of: Duration) -> f64 {
    of.as_secs_f64() * 1e3
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
