//! Everything that was found out.

use std::sync::Arc;

use anyhow::Context as _;
use giantvm_examples::machine::this_machine;
use giantvm_examples::spread::Spread;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::cgroup::{HOSTS, Hosts};
use crate::load::{Load, VCPUS};
use crate::placement::{MACHINES, Placement};
use crate::plan::Plan;
use crate::run::{Run, run};
use crate::schedule::{SLOT, Schedule, Tenants};

/// One placement over all rounds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) placement: Placement,
    /// Steps that both machines did, as a part of those that were asked for.
    pub(crate) done: Spread,
    pub(crate) steps: Spread,
    pub(crate) steps_by_machine: [Spread; MACHINES],
    /// How much more of what was asked for was done than under static placement of the same round.
    pub(crate) gain: Spread,
    pub(crate) moves: Spread,
    pub(crate) mebibytes: Spread,
    /// Processor time that was used, and that steps take when no page is missing, as parts of
    /// what quotas allowed.
    pub(crate) used: Spread,
    pub(crate) useful: Spread,
    pub(crate) still_ms: Spread,
    pub(crate) runs: Vec<Run>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    command: String,
    pub(crate) machine: String,
    /// Processes that ran or wanted to, on average over a minute, before the first run and after the last.
    load_average: [Option<f64>; 2],
    pub(crate) load: Load,
    pub(crate) memory_mebibytes: u64,
    pub(crate) link: crate::link::Link,
    pub(crate) protocol: &'static str,
    /// Hundredths of a processor that each vCPU wants, and steps a second that they are.
    pub(crate) wants_percent: u32,
    pub(crate) steps_per_second: f64,
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    pub(crate) tenants: Tenants,
    pub(crate) rounds: usize,
    /// What was left of each host, round by round, slot by slot of half a second, in hundredths of a
    /// processor.
    pub(crate) schedules: Vec<Vec<[u32; HOSTS]>>,
    /// When that changed, in the last round.
    #[serde(skip)]
    pub(crate) changes: [String; HOSTS],
    /// What could be done at best if both hosts were one, of what was asked for.
    pub(crate) pooled: Spread,
    /// The same if nothing left its host.
    pub(crate) apart: Spread,
    /// How much more the first is than the second.
    pub(crate) at_best: Spread,
    pub(crate) rows: Vec<Row>,
}

/// Runs all placements by turns, once for each schedule.
pub(crate) fn report(
    plan: &Plan,
    seed: u64,
    schedules: &[Schedule],
    hosts: &Arc<Hosts>,
    bar: &ProgressBar,
) -> anyhow::Result<Report> {
    let before = load_average();
    let mut runs = Placement::ALL.map(|_| Vec::new());
    for schedule in schedules {
        for (placement, runs) in Placement::ALL.into_iter().zip(&mut runs) {
            bar.set_message(placement.name());
            runs.push(run(plan, schedule, hosts, placement)?);
            bar.inc(1);
        }
    }
    let still: Vec<f64> = runs[0].iter().map(done).collect();
    let rows = Placement::ALL.into_iter().zip(runs);
    let last = schedules.last().context("no round")?;
    let wants = plan.wants * u32::try_from(VCPUS * MACHINES)?;
    let each = |figure: fn(&Schedule, u32) -> f64| {
        let figures = schedules.iter().map(|schedule| figure(schedule, wants));
        figures.collect::<Spread>()
    };
    Ok(Report {
        command: std::env::args()
            .skip(1)
            .fold("colocate_real".to_owned(), |a, b| a + " " + &b),
        machine: this_machine(),
        load_average: [before, load_average()],
        load: plan.load,
        memory_mebibytes: plan.size.bytes() >> 20,
        link: plan.link,
        protocol: plan.protocol.name(),
        wants_percent: plan.wants,
        steps_per_second: plan.rate(),
        seed,
        seconds: last.slots().len() as f64 * SLOT.as_secs_f64(),
        tenants: plan.tenants,
        rounds: schedules.len(),
        schedules: schedules
            .iter()
            .map(|schedule| schedule.slots().to_vec())
            .collect(),
        changes: [0, 1].map(|host| last.text(host)),
        pooled: each(Schedule::pooled),
        apart: each(Schedule::apart),
        at_best: each(|schedule, wants| schedule.pooled(wants) / schedule.apart(wants) - 1.0),
        rows: rows
            .map(|(placement, runs)| row(placement, runs, &still))
            .collect(),
    })
}

impl Report {
    /// How it was measured.
    pub(crate) fn how(&self) -> String {
        let load = self
            .load_average
            .map(|load| load.map_or("?".into(), |load| format!("{load:.1}")));
        let [before, after] = load;
        format!("{}; load {before} before, {after} after", self.machine)
    }
}

fn total(run: &Run) -> f64 {
    run.steps.iter().sum::<u64>() as f64
}

/// The part that was done of what was asked for.
fn done(run: &Run) -> f64 {
    total(run) / run.asked as f64
}

fn row(placement: Placement, runs: Vec<Run>, still: &[f64]) -> Row {
    let of = |figure: &dyn Fn(&Run) -> f64| runs.iter().map(figure).collect::<Spread>();
    Row {
        placement,
        done: of(&done),
        steps: of(&total),
        steps_by_machine: [0, 1].map(|machine| of(&|run| run.steps[machine] as f64)),
        gain: runs
            .iter()
            .zip(still)
            .map(|(run, still)| done(run) / still - 1.0)
            .collect(),
        moves: of(&|run| run.moves as f64),
        mebibytes: of(&|run| run.mebibytes),
        used: of(&|run| run.used_s / run.allowed_s),
        useful: of(&|run| total(run) * run.step_us / 1e6 / run.allowed_s),
        still_ms: of(&|run| run.still_ms),
        runs,
    }
}

fn load_average() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
