//! The command line.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use giantvm_dsm::mutants::Mutant;
use giantvm_dsm::protocol::{CoherenceProtocol, Directory, Ivy, Lease};
use giantvm_dsm::testing::conformance::check_seed;
use giantvm_dsm::testing::{Disturbances, Failure, Report};

const EXAMPLES: &str = "\
Examples:
  soak                                     10,000 seeds of every kind, with the default protocol
  soak --protocol lease --seeds 0..1000000
  soak --minutes 60 --seeds 50000..        from a seed on, for an hour
  soak --seed-file giantvm-dsm/tests/seeds.txt
                                           the seeds that once failed

Exit status:
  0  no law was broken
  1  one was: the smallest scenario that shows it is printed
  2  the command line is wrong";

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Protocol {
    Directory,
    Ivy,
    Lease,
}

impl Protocol {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Directory => Directory::NAME,
            Self::Ivy => Ivy::NAME,
            Self::Lease => Lease::NAME,
        }
    }

    pub(crate) fn check(
        self,
        seed: u64,
        accesses: usize,
        kind: Disturbances,
    ) -> Result<Report, Failure> {
        match self {
            Self::Directory => check_seed::<Directory>(seed, accesses, kind),
            Self::Ivy => check_seed::<Ivy>(seed, accesses, kind),
            Self::Lease => check_seed::<Lease>(seed, accesses, kind),
        }
    }
}

/// Runs random scenarios of a protocol in the simulated cluster: each seed calm, disturbed, and
/// with a death. Every law is checked after every step.
#[derive(Debug, Parser)]
#[command(name = "soak", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// The protocol.
    #[arg(long, value_enum, default_value_t = Protocol::Directory)]
    pub(crate) protocol: Protocol,
    /// The seeds, as FROM..TO, or FROM.. with --minutes.
    #[arg(long, value_name = "RANGE", default_value = "0..10000", value_parser = range)]
    pub(crate) seeds: (u64, u64),
    /// Take the seeds from a file instead, one a line; what follows a `#` is a comment.
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    pub(crate) seed_file: Option<PathBuf>,
    /// Stop after so many minutes, at the latest.
    #[arg(long, value_name = "N")]
    pub(crate) minutes: Option<u64>,
    /// Accesses of each thread in a scenario.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) accesses: usize,
    /// Threads that work at a time; as many as there are processors if not given.
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Append seeds that fail to FILE.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Turn a bug on, to see it found: a name of giantvm-dsm/docs/mutants.md.
    #[arg(long, value_name = "NAME", value_parser = mutant)]
    pub(crate) mutant: Option<Mutant>,
    /// Print one line of JSON instead.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A range of seeds as it stands on the command line.
fn range(text: &str) -> Result<(u64, u64), String> {
    let bad = || "write it as FROM..TO, such as 0..10000".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(bad)?;
    let from = from.parse().map_err(|_| bad())?;
    let to = match to {
        "" => u64::MAX,
        to => to.parse().map_err(|_| bad())?,
    };
    if from < to {
        Ok((from, to))
    } else {
        Err(bad())
    }
}

/// A bug on purpose by its name.
fn mutant(name: &str) -> Result<Mutant, String> {
    let named = |mutant: &Mutant| format!("{mutant:?}") == name;
    let found = Mutant::ALL.iter().copied().find(named);
    found.ok_or_else(|| "there is no such bug".to_owned())
}
/// The seeds in a file.
pub(crate) fn read_seeds(file: &PathBuf) -> anyhow::Result<Vec<u64>> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the seeds in {}", file.display()))?;
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    let numbers = lines.filter(|line| !line.is_empty()).map(|line| {
        line.parse()
            .with_context(|| format!("`{line}` in {} is no seed", file.display()))
    });
    let seeds: Vec<_> = numbers.collect::<anyhow::Result<_>>()?;
    ensure!(
        !seeds.is_empty(),
        "there are no seeds in {}",
        file.display()
    );
    Ok(seeds)
}
