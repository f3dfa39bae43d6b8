//! A counter behind a ticket lock: wrong as soon as one vCPU sees an old word.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::Context;
use super::outcome::{Check, Failure, Site, Values, values};
use crate::machine::Machine;

pub(super) fn run<M: Machine>(
    context: &Context<'_, M>,
    &[acquisitions, increments, ..]: &[u64; 4],
) -> Result<Values, Failure> {
    let [next, serving, counter] = [0, 1, 2].map(|word| context.hot(word));
    if context.vcpu() == 0 {
        for word in [next, serving, counter] {
            word.store(0, SeqCst);
        }
    }
    context.barrier()?;
    for _ in 0..acquisitions {
        let mine = next.fetch_add(1, SeqCst);
        context.wait(Site::Lock, || serving.load(SeqCst) == mine)?;
        for _ in 0..increments {
            // Not one atomic addition: only the lock keeps increments from being lost.
            counter.store(counter.load(Relaxed) + 1, Relaxed);
        }
        serving.store(mine + 1, SeqCst);
    }
    context.barrier()?;
    let found = [counter, next, serving].map(|word| word.load(SeqCst));
    let tickets = acquisitions * u64::from(context.vcpus());
    Failure::check(Check::Counter, tickets * increments, found[0])?;
    Failure::check(Check::Tickets, tickets, found[1])?;
    Failure::check(Check::Tickets, tickets, found[2])?;
    Ok(values(&found))
}
