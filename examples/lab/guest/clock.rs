//! Time that never runs backwards, whichever processor is asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use rustix::time::{ClockId, clock_gettime};

use crate::everywhere::{everywhere, stay_on, usable};
use crate::options::Options;

/// Readings on one processor before a thread hops to the next one.
const STAY: u64 = 200;

/// Threads on all processors read the clock, each after the others' readings, and hop.
pub(crate) fn clock(options: &Options) -> anyhow::Result<String> {
    let (cpus, latest) = (usable()?, AtomicU64::new(0));
    let seen = everywhere(|number, all| {
        let (start, mut turn, mut readings) = (Instant::now(), 0, 0_u64);
        while start.elapsed() < options.time {
            for _ in 0..STAY {
                let before = latest.load(Ordering::SeqCst);
                let now = nanos()?;
                ensure!(now >= before, "the clock ran back by {} ns", before - now);
                latest.fetch_max(now, Ordering::SeqCst);
                readings += 1;
            }
            turn += 1;
            stay_on(cpus[(number + turn) % all])?;
        }
        Ok((readings, turn))
    })?;
    let readings = seen.iter().map(|(readings, _)| readings).sum::<u64>();
    let hops = seen.iter().map(|(_, hops)| hops).sum::<usize>();
    Ok(format!("{readings} readings, {hops} hops, none ran back"))
}

fn nanos() -> anyhow::Result<u64> {
    let now = clock_gettime(ClockId::Monotonic);
    let nanos = now.tv_sec.checked_mul(1_000_000_000);
    let nanos = nanos.and_then(|nanos| nanos.checked_add(now.tv_nsec));
    u64::try_from(nanos.context("the clock is beyond measure")?).context("the clock is negative")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_s_clock_does_not_run_back() {
        clock(&Options::parse("lab.seconds=0")).unwrap();
    }
}
