//! One run with too little memory, and runs by turns with enough and with no limit.

use giantvm_dsm::engine::{DsmStats, MemoryStats};
use giantvm_sched::Size;
use serde::Serialize;

use crate::cluster::{self, Job, Part};
use crate::protocol::ProtocolKind;
use crate::work::{Phase, Work};

const PAGE: u64 = 4096;

/// What a node did in one phase of the run with too little memory.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) phase: &'static str,
    pub(crate) node: usize,
    pub(crate) milliseconds: f64,
    pub(crate) faults_remote: u64,
    pub(crate) evictions_clean: u64,
    pub(crate) evictions_dirty: u64,
    pub(crate) suspended: u64,
    pub(crate) second_chances: u64,
    /// Most pages that took memory so far.
    pub(crate) most_resident: u64,
    pub(crate) budget_pages: u64,
}

/// A working set that fits, with the budget and without; medians over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Fitting {
    pub(crate) phase: &'static str,
    pub(crate) limited_ms: f64,
    pub(crate) unlimited_ms: f64,
    /// The median of the rounds' ratios.
    pub(crate) ratio: f64,
    /// Of all rounds together, with the budget.
    pub(crate) evictions: u64,
    pub(crate) suspended: u64,
    /// Of all rounds together.
    pub(crate) limited_faults: u64,
    pub(crate) unlimited_faults: u64,
}

/// Everything that was found out.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) protocol: &'static str,
    pub(crate) nodes: usize,
    pub(crate) budget_bytes: u64,
    pub(crate) working_set_bytes: u64,
    pub(crate) rows: Vec<Row>,
    /// Bytes of all nodes' frames, as the system counts, at the most of the phases' ends.
    pub(crate) counted_bytes: Option<u64>,
    pub(crate) given_bytes: u64,
    pub(crate) fitting_set_bytes: u64,
    pub(crate) rounds: u16,
    pub(crate) fitting: Vec<Fitting>,
}

pub(crate) fn report(
    protocol: ProtocolKind,
    nodes: usize,
    budget: Size,
    rounds: u16,
) -> anyhow::Result<Report> {
    let pages = budget.bytes() / PAGE;
    let mut budgets = vec![pages; nodes];
    // Room for the copies that the others keep.
    budgets[nodes - 1] *= 2;
    let job = Job {
        protocol,
        bytes: budget.bytes() * nodes as u64,
        budgets: &budgets,
        limited: true,
    };
    let done = cluster::run(job)?;
    let counted = done.iter().flatten().filter_map(|part| part.counted).max();
    // All pages fit every node, copies of others' and all.
    let fitting_set_bytes = budget.bytes() / 2;
    let fits = Job {
        bytes: fitting_set_bytes,
        budgets: &vec![pages; nodes],
        ..job
    };
    Ok(Report {
        protocol: protocol.name(),
        nodes,
        budget_bytes: budget.bytes(),
        working_set_bytes: Work::pages(job.bytes) * PAGE,
        rows: rows(&done, &budgets),
        counted_bytes: counted,
        given_bytes: budgets.iter().sum::<u64>() * PAGE,
        fitting_set_bytes,
        rounds,
        fitting: fitting(fits, rounds)?,
    })
}

fn rows(done: &[Vec<Part>], budgets: &[u64]) -> Vec<Row> {
    let phases = Phase::ALL.iter().enumerate();
    let of_phase = |(at, phase): (usize, &Phase)| {
        let nodes = done.iter().zip(budgets).enumerate();
        let row = |(node, (parts, &budget_pages)): (usize, (&Vec<Part>, &u64))| {
            let part = &parts[at];
            let (before, after) = (part.before.memory, part.after.memory);
            Row {
                phase: phase.name(),
                node,
                milliseconds: part.took.as_secs_f64() * 1e3,
                faults_remote: faults(part),
                evictions_clean: after.evictions_clean - before.evictions_clean,
                evictions_dirty: after.evictions_dirty - before.evictions_dirty,
                suspended: after.suspended - before.suspended,
                second_chances: after.second_chances - before.second_chances,
                most_resident: after.most_resident,
                budget_pages,
            }
        };
        nodes.map(row).collect::<Vec<_>>()
    };
    phases.flat_map(of_phase).collect()
}

fn faults(part: &Part) -> u64 {
    let of = DsmStats::faults_remote;
    of(&part.after) - of(&part.before)
}

/// Milliseconds of the slowest node in each phase, by round.
fn times(done: &[Vec<Part>], phase: usize) -> f64 {
    let took = done.iter().map(|parts| parts[phase].took.as_secs_f64());
    took.fold(0.0, f64::max) * 1e3
}

fn fitting(job: Job<'_>, rounds: u16) -> anyhow::Result<Vec<Fitting>> {
    if rounds == 0 {
        return Ok(Vec::new());
    }
    let (mut limited, mut unlimited) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // By turns, and each as often before the other, so that what disturbs disturbs both.
        for limit in [round % 2 == 0, round % 2 == 1] {
            let done = cluster::run(Job {
                limited: limit,
                ..job
            })?;
            let into = if limit { &mut limited } else { &mut unlimited };
            into.push(done);
        }
    }
    let phases = Phase::ALL.iter().enumerate();
    let row = |(at, phase): (usize, &Phase)| {
        let times_of = |runs: &[Vec<Vec<Part>>]| -> Vec<f64> {
            runs.iter().map(|done| times(done, at)).collect()
        };
        let (with, without) = (times_of(&limited), times_of(&unlimited));
        let ratios = with
            .iter()
            .zip(&without)
            .map(|(with, without)| with / without);
        let all = |runs: &[Vec<Vec<Part>>], count: &dyn Fn(&Part) -> u64| {
            let parts = runs.iter().flatten().map(|parts| count(&parts[at]));
            parts.sum::<u64>()
        };
        let left = |memory: MemoryStats| memory.evictions_clean + memory.evictions_dirty;
        Fitting {
            phase: phase.name(),
            ratio: median(ratios.collect()),
            limited_ms: median(with.clone()),
            unlimited_ms: median(without.clone()),
            evictions: all(&limited, &|part| {
                left(part.after.memory) - left(part.before.memory)
            }),
            suspended: all(&limited, &|part| {
                part.after.memory.suspended - part.before.memory.suspended
            }),
            limited_faults: all(&limited, &faults),
            unlimited_faults: all(&unlimited, &faults),
        }
    };
    Ok(phases.map(row).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
