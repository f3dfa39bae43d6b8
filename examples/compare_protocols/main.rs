//! Compares the coherence protocols: what each costs for the same accesses, and what a fault takes.
//!
//! [`workloads`] are what simulated threads do, [`simulated`] runs them and counts, [`measured`]
//! times threads of this host on real memory, [`tables`] shows both.

mod measured;
mod simulated;
#[path = "../../giantvm-dsm/tests/support/mod.rs"]
mod support;
mod tables;
mod workloads;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use giantvm_dsm::protocol::{CoherenceProtocol, Directory, Ivy, Lease};
use giantvm_dsm::testing::{Inspect, Report};
use serde::Serialize;

use crate::measured::{Round, Time};
use crate::simulated::Row;
use crate::workloads::Workload;

const EXAMPLES: &str = "\
Examples:
  compare_protocols                    both tables
  compare_protocols --seed 7           other delays and other random accesses
  compare_protocols --rounds 0         without real memory: equal seeds give equal output
  compare_protocols --json - | jq .    the same figures, and more, for machines

A protocol of your own is compared by one more line in `PROTOCOLS` of
examples/compare_protocols/main.rs; it needs an impl of `giantvm_dsm::testing::Inspect`.

Exit status:
  0  every access of every workload was made, and read what it had to
  1  one was not, or something else went wrong
  2  the command line is wrong";

/// Compares the coherence protocols on the same workloads.
///
/// The first table counts messages, bytes and hops in a simulated cluster on a virtual clock, where
/// every read is checked against what was written before. The second has times of page faults on
/// real memory of three nodes in this process; it is left out where userfaultfd is missing.
#[derive(Debug, Parser)]
#[command(name = "compare_protocols", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    /// What all random choices of the simulation follow from.
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,

    /// Rounds on real memory. Every round measures every protocol once, so that what disturbs the
    /// host disturbs all alike; 0 leaves real memory out.
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(0..=1000))]
    rounds: u16,

    /// Write the figures as JSON to FILE, or with `-` to standard output and the tables to standard
    /// error.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A protocol to compare.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    name: &'static str,
    simulate: fn(&Workload) -> anyhow::Result<Report>,
    measure: fn() -> Option<Round>,
}

impl Candidate {
    const fn of<P: Inspect>() -> Self {
        Self {
            name: <P as CoherenceProtocol>::NAME,
            simulate: simulated::run::<P>,
            measure: measured::round::<P>,
        }
    }
}

const PROTOCOLS: [Candidate; 3] = [
    Candidate::of::<Directory>(),
    Candidate::of::<Ivy>(),
    Candidate::of::<Lease>(),
];

/// Everything that was found out.
#[derive(Debug, Serialize)]
struct Comparison {
    seed: u64,
    simulated: Vec<Row>,
    measured: Vec<Time>,
}

fn main() -> ExitCode {
    match compare(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare_protocols: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compare(cli: &Cli) -> anyhow::Result<()> {
    // Before the work, which takes a while.
    let json = cli.json.as_deref().map(create).transpose()?;
    let workloads = workloads::all(cli.seed);
    let comparison = Comparison {
        seed: cli.seed,
        simulated: simulated::rows(&workloads, &PROTOCOLS)?,
        measured: measured::times(cli.rounds, &PROTOCOLS),
    };
    let text = tables::text(&comparison, &workloads);
    match json {
        Some((mut file, true)) => {
            eprint!("{text}");
            write(&mut file, &comparison)?;
        }
        Some((mut file, false)) => {
            print!("{text}");
            write(&mut file, &comparison)?;
        }
        None => print!("{text}"),
    }
    anyhow::ensure!(
        comparison.simulated.iter().all(|row| row.verified),
        "not every access was made"
    );
    Ok(())
}

/// Where the figures go, and whether that is standard output.
fn create(path: &Path) -> anyhow::Result<(Box<dyn Write>, bool)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdout()), true));
    }
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((Box::new(file), false))
}

fn write(file: &mut dyn Write, comparison: &Comparison) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *file, comparison).context("cannot write the JSON")?;
    writeln!(file).and_then(|()| file.flush())?;
    Ok(())
}
