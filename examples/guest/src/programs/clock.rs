//! Clock readings passed from vCPU to vCPU: none may be before the one it follows.

use core::sync::atomic::Ordering::SeqCst;

use super::Context;
use super::outcome::{Check, Failure, Site, Values, values};
use crate::abi;
use crate::machine::Machine;

pub(super) fn run<M: Machine>(
    context: &Context<'_, M>,
    &[rounds, ..]: &[u64; 4],
) -> Result<Values, Failure> {
    // Turn, last readings and how many ran backwards, and by how much at most, travel together.
    let turn = context.hot(0);
    let last = [1, 2].map(|word| context.memory().word(abi::HOT + HANDED + 8 * word));
    let backwards = [3, 4].map(|word| context.memory().word(abi::HOT + HANDED + 8 * word));
    let worst = [5, 6].map(|word| context.memory().word(abi::HOT + HANDED + 8 * word));
    if context.vcpu() == 0 {
        for word in last.into_iter().chain(backwards).chain(worst).chain([turn]) {
            word.store(0, SeqCst);
        }
    }
    context.barrier()?;
    let (own, all) = (u64::from(context.vcpu()), u64::from(context.vcpus()));
    for round in 0..rounds {
        let mine = round * all + own;
        context.wait(Site::Turn, || turn.load(SeqCst) == mine)?;
        let machine = context.machine();
        let now = [machine.cycles(), machine.mmio_read(abi::MMIO_CLOCK)];
        for clock in 0..2 {
            let before = last[clock].load(SeqCst);
            if now[clock] < before {
                backwards[clock].fetch_add(1, SeqCst);
                worst[clock].fetch_max(before - now[clock], SeqCst);
            }
            last[clock].store(now[clock], SeqCst);
        }
        turn.store(mine + 1, SeqCst);
    }
    context.barrier()?;
    let [cycles, clock] = backwards.map(|word| word.load(SeqCst));
    Failure::check(Check::Cycles, 0, cycles)?;
    Failure::check(Check::Clock, 0, clock)?;
    Ok(values(&[rounds * all * 2, cycles, clock]))
}

/// Where the readings lie: the page after that of the turn, so that who waits for a turn does not
/// take the page from who has it.
const HANDED: u64 = 9 * abi::PAGE;
