//! Threads that wake one another, on all processors in turn.

use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};

use crate::everywhere::{everywhere, usable};
use crate::options::Options;

/// A thread that is not woken for so long never will be.
const PATIENCE: Duration = Duration::from_secs(30);

/// A turn goes round by a lock and a condition: futexes.
pub(crate) fn futex(options: &Options) -> anyhow::Result<String> {
    let (turn, changed) = (Mutex::new(0_u64), Condvar::new());
    let turns = everywhere(|number, all| {
        let (number, all) = (number as u64, all as u64);
        let broken = || anyhow!("another thread failed");
        for _ in 0..options.rounds {
            let own = |turn: &mut u64| *turn % all != number;
            let turn = turn.lock().map_err(|_| broken())?;
            let waited = changed.wait_timeout_while(turn, PATIENCE, own);
            let (mut turn, waited) = waited.map_err(|_| broken())?;
            ensure!(!waited.timed_out(), "a wake-up was lost at turn {turn}");
            *turn += 1;
            changed.notify_all();
        }
        Ok(options.rounds)
    })?;
    let expected = turns.iter().sum::<u64>();
    let turn = turn.into_inner().unwrap_or_default();
    ensure!(turn == expected, "{turn} turns, not {expected}");
    Ok(format!("{turn} turns"))
}

/// A number goes round by pipes, and each thread adds to it.
pub(crate) fn pipe(options: &Options) -> anyhow::Result<String> {
    let expected = options.rounds * usable()?.len() as u64;
    let found = ring(options.rounds)?;
    ensure!(found == expected, "the number is {found}, not {expected}");
    Ok(format!("{found} writes"))
}

/// Sends a number round; what came back at last.
fn ring(rounds: u64) -> anyhow::Result<u64> {
    let pipes = usable()?
        .iter()
        .map(|_| std::io::pipe())
        .collect::<Result<Vec<_>, _>>()?;
    let (readers, mut writers): (Vec<PipeReader>, Vec<PipeWriter>) = pipes.into_iter().unzip();
    writers.rotate_left(1);
    let ends: Vec<_> = readers
        .into_iter()
        .zip(writers)
        .map(Some)
        .map(Mutex::new)
        .collect();
    let last = everywhere(|number, _| {
        let ends = ends[number].lock().map_err(|_| anyhow!("poisoned"))?.take();
        let (mut reader, mut writer) = ends.context("the pipes are taken")?;
        let mut value = 0;
        for round in 0..rounds {
            if number > 0 || round > 0 {
                let mut bytes = [0; 8];
                reader.read_exact(&mut bytes)?;
                value = u64::from_le_bytes(bytes);
            }
            writer.write_all(&(value + 1).to_le_bytes())?;
        }
        // The first one takes what comes back at last.
        if number == 0 {
            let mut bytes = [0; 8];
            reader.read_exact(&mut bytes)?;
            value = u64::from_le_bytes(bytes);
        }
        Ok(value)
    })?;
    Ok(last[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_and_a_number_go_round() {
        let options = Options::parse("lab.rounds=20");
        futex(&options).unwrap();
        pipe(&options).unwrap();
    }
}
