//! Processes that start and end, on all processors.

use std::process::Command;

use anyhow::ensure;

use crate::everywhere::everywhere;
use crate::options::Options;

/// Rounds for one process: starting one is much work.
const ROUNDS: u64 = 10;

/// Every processor starts processes, which must say what they were told to.
pub(crate) fn spawn(options: &Options) -> anyhow::Result<String> {
    let count = options.rounds.div_ceil(ROUNDS);
    let started = everywhere(|number, _| {
        for turn in 0..count {
            let word = format!("{number}-{turn}");
            let output = Command::new("/bin/sh")
                .args(["-c", "echo $(echo $0)", &word])
                .output()?;
            ensure!(
                output.status.success(),
                "a process ended with {}",
                output.status
            );
            let said = String::from_utf8_lossy(&output.stdout);
            ensure!(said.trim() == word, "a process said {said:?}, not {word}");
        }
        Ok(count)
    })?;
    Ok(format!(
        "{} processes, each with another one",
        started.iter().sum::<u64>()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_say_what_they_were_told() {
        spawn(&Options::parse("lab.rounds=20")).unwrap();
    }
}
