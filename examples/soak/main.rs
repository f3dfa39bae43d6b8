//! Random scenarios for as long as you like: the same that the tests run, with other seeds.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::{Parser, ValueEnum};
use giantvm_dsm::protocol::{Directory, Ivy, Lease};
use giantvm_dsm::testing::conformance::check_seed;
use giantvm_dsm::testing::{Disturbances, Failure, Report};
use indicatif::{ProgressBar, ProgressStyle};

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
enum Protocol {
    Directory,
    Ivy,
    Lease,
}

impl Protocol {
    fn check(self, seed: u64, accesses: usize, kind: Disturbances) -> Result<Report, Failure> {
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
struct Cli {
    /// The protocol.
    #[arg(long, value_enum, default_value_t = Protocol::Directory)]
    protocol: Protocol,
    /// The seeds, as FROM..TO, or FROM.. with --minutes.
    #[arg(long, value_name = "RANGE", default_value = "0..10000", value_parser = range)]
    seeds: (u64, u64),
    /// Take the seeds from a file instead, one a line; what follows a `#` is a comment.
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    seed_file: Option<PathBuf>,
    /// Stop after so many minutes, at the latest.
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// Accesses of each thread in a scenario.
    #[arg(long, value_name = "N", default_value_t = 30)]
    accesses: usize,
    /// Threads that work at a time; as many as there are processors if not given.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Append seeds that fail to FILE.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
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

/// What all threads share.
struct Soak<'a> {
    cli: &'a Cli,
    seeds: Option<Vec<u64>>,
    next: AtomicU64,
    end: u64,
    until: Option<Instant>,
    done: AtomicU64,
    steps: AtomicU64,
    failure: Mutex<Option<Failure>>,
    bar: ProgressBar,
}

impl Soak<'_> {
    fn work(&self) {
        while self.failure.lock().is_ok_and(|failure| failure.is_none()) {
            let late = self.until.is_some_and(|until| Instant::now() >= until);
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            if late || place >= self.end {
                return;
            }
            let listed = |seeds: &Vec<u64>| seeds.get(usize::try_from(place).ok()?).copied();
            let seed = self.seeds.as_ref().and_then(listed).unwrap_or(place);
            if let Err(failure) = self.check(seed)
                && let Ok(mut first) = self.failure.lock()
            {
                first.get_or_insert(failure);
            }
            self.done.fetch_add(1, Ordering::Relaxed);
            self.bar.inc(1);
        }
    }

    fn check(&self, seed: u64) -> Result<(), Failure> {
        for kind in [
            Disturbances::default(),
            Disturbances::LIVELY,
            Disturbances::DEADLY,
        ] {
            let report = self.cli.protocol.check(seed, self.cli.accesses, kind)?;
            self.steps.fetch_add(report.steps, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match soak(&cli) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(failure)) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn soak(cli: &Cli) -> anyhow::Result<Option<Failure>> {
    let seeds = cli.seed_file.as_ref().map(read_seeds).transpose()?;
    let (from, to) = seeds
        .as_ref()
        .map_or(cli.seeds, |seeds| (0, seeds.len() as u64));
    if to == u64::MAX && cli.minutes.is_none() {
        return Err(anyhow!("a range without end needs --minutes"));
    }
    let bar = match to {
        u64::MAX => ProgressBar::new_spinner(),
        to => ProgressBar::new(to - from),
    };
    bar.set_style(ProgressStyle::with_template(
        "{wide_bar} {pos}/{len} seeds, {per_sec}, {eta} left",
    )?);
    let start = Instant::now();
    let soak = Soak {
        cli,
        seeds,
        next: AtomicU64::new(from),
        end: to,
        until: cli.minutes.map(|n| start + Duration::from_secs(60 * n)),
        done: AtomicU64::new(0),
        steps: AtomicU64::new(0),
        failure: Mutex::new(None),
        bar,
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let jobs = cli.jobs.unwrap_or(processors).max(1);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| soak.work());
        }
    });
    soak.bar.finish_and_clear();
    let (done, steps) = (soak.done.into_inner(), soak.steps.into_inner());
    let took = start.elapsed().as_secs_f64();
    println!(
        "{done} seeds, {steps} steps in {took:.0} s ({:.0} steps/s)",
        steps as f64 / took
    );
    let failure = soak.failure.into_inner().unwrap_or(None);
    if let (Some(failure), Some(file)) = (&failure, &cli.record) {
        let mut file = OpenOptions::new().create(true).append(true).open(file)?;
        writeln!(file, "{} # {}", failure.seed, failure.law())?;
    }
    Ok(failure)
}

fn read_seeds(file: &PathBuf) -> anyhow::Result<Vec<u64>> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the seeds in {}", file.display()))?;
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    let numbers = lines.filter(|line| !line.is_empty()).map(|line| {
        line.parse()
            .with_context(|| format!("`{line}` in {} is no seed", file.display()))
    });
    numbers.collect()
}
