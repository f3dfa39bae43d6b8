//! The run of all cases, batch by batch.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::batch::{Area, Batch, Pace};
use super::outcome::Outcome;
use super::{Case, THREADS, allowed, table};
use crate::machine::Machine;
use crate::programs::Context;
use crate::programs::outcome::{Check, Failure, Values, values};

/// Most rounds of a case.
pub const ROUNDS_MAX: u64 = 100_000_000;

pub(in crate::programs) fn run<M: Machine>(
    context: &Context<'_, M>,
    &[rounds, ..]: &[u64; 4],
) -> Result<Values, Failure> {
    if !(1..=ROUNDS_MAX).contains(&rounds) {
        return Err(Failure::Parameter {
            index: 0,
            value: rounds,
        });
    }
    context.need_vcpus(THREADS as u32)?;
    let area = Area::new(context);
    if context.vcpu() == 0 {
        area.clear();
    }
    for case in Case::all() {
        run_case(context, &area, case, rounds)?;
    }
    if context.vcpu() != 0 {
        return Ok(values(&[]));
    }
    let mut found = Tally::default();
    for case in Case::all() {
        found.add(context, case);
    }
    Failure::check(Check::Forbidden, 0, found.forbidden)?;
    Ok(values(&[found.rounds, found.outcomes, found.weak]))
}

fn run_case<M: Machine>(
    context: &Context<'_, M>,
    area: &Area<'_>,
    case: Case,
    rounds: u64,
) -> Result<(), Failure> {
    let threads = case.test().threads.len();
    let vcpus = context.vcpus() as usize;
    let start = context.hot(0);
    let mut left = rounds;
    for number in 0.. {
        let pace = Pace::ALL[number % Pace::ALL.len()];
        let batch = Batch {
            case,
            pace,
            rounds: pace.rounds().min(left),
        };
        if context.vcpu() == 0 {
            start.store(context.machine().cycles(), SeqCst);
        }
        context.barrier()?;
        // Every vCPU plays every part in its turn, at every pace.
        let turn = number / Pace::ALL.len() + case.index();
        let part = (context.vcpu() as usize + turn) % vcpus;
        if part < threads {
            // A counter of another node may be behind; nobody waits for it to come up.
            let start = start.load(SeqCst).min(context.machine().cycles());
            batch.play(context, area, part, start);
        }
        context.barrier()?;
        if context.vcpu() == 0 {
            let counts = context.memory().halves(table(case), Outcome::COUNT as u64);
            batch.collect(area, |outcome| {
                let count = &counts[outcome.index()];
                count.store(count.load(Relaxed) + 1, Relaxed);
            });
        }
        left -= batch.rounds;
        if left == 0 {
            break;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    rounds: u64,
    /// Different outcomes, over all cases.
    outcomes: u64,
    /// Rounds that ended as no order of the instructions explains, but x86-TSO allows.
    weak: u64,
    /// Rounds that ended as x86-TSO forbids.
    forbidden: u64,
}

impl Tally {
    fn add<M: Machine>(&mut self, context: &Context<'_, M>, case: Case) {
        let counts = context.memory().halves(table(case), Outcome::COUNT as u64);
        let (may, in_order) = (allowed(case), allowed(case.in_order()));
        for (index, count) in counts.iter().enumerate() {
            let count = u64::from(count.load(Relaxed));
            if let Some(outcome) = Outcome::at(index).filter(|_| count > 0) {
                self.rounds += count;
                self.outcomes += 1;
                if !may.contains(outcome) {
                    self.forbidden += count;
                } else if !in_order.contains(outcome) {
                    self.weak += count;
                }
            }
        }
    }
}
