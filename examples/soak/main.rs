//! Random scenarios for as long as you like: the same that the tests run, with other seeds.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use clap::{Parser, ValueEnum};
use giantvm_dsm::mutants::{Mutant, choose};
use giantvm_dsm::protocol::{CoherenceProtocol, Directory, Ivy, Lease};
use giantvm_dsm::testing::conformance::check_seed;
use giantvm_dsm::testing::{Disturbances, Failure, Report};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

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
    const fn name(self) -> &'static str {
        match self {
            Self::Directory => Directory::NAME,
            Self::Ivy => Ivy::NAME,
            Self::Lease => Lease::NAME,
        }
    }

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
    /// Turn a bug on, to see it found: a name of giantvm-dsm/docs/mutants.md.
    #[arg(long, value_name = "NAME", value_parser = mutant)]
    mutant: Option<Mutant>,
    /// Print one line of JSON instead.
    #[arg(long)]
    json: bool,
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

/// What all threads share.
struct Soak<'a> {
    cli: &'a Cli,
    seeds: Option<Vec<u64>>,
    next: AtomicU64,
    end: u64,
    start: Instant,
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
            let steps = self.steps.load(Ordering::Relaxed) as f64;
            let speed = steps / self.start.elapsed().as_secs_f64();
            self.bar.set_message(format!("{speed:.0} steps/s"));
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
        Ok(Some(_)) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn soak(cli: &Cli) -> anyhow::Result<Option<Failure>> {
    choose(cli.mutant);
    let seeds = cli.seed_file.as_ref().map(read_seeds).transpose()?;
    let (from, to) = seeds
        .as_ref()
        .map_or(cli.seeds, |seeds| (0, seeds.len() as u64));
    if to == u64::MAX && cli.minutes.is_none() {
        return Err(anyhow!("a range without end needs --minutes"));
    }
    let (bar, template) = match to {
        u64::MAX => (
            ProgressBar::new_spinner(),
            "{spinner} {pos} seeds, {per_sec}, {msg}, for {elapsed}",
        ),
        to => (
            ProgressBar::new(to - from),
            "{wide_bar} {pos}/{len} seeds, {per_sec}, {msg}, {eta} left",
        ),
    };
    bar.set_style(ProgressStyle::with_template(template)?);
    let start = Instant::now();
    let soak = Soak {
        cli,
        seeds,
        next: AtomicU64::new(from),
        end: to,
        start,
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
    let failure = soak.failure.into_inner().unwrap_or(None);
    if let (Some(failure), Some(file)) = (&failure, &cli.record) {
        let mut file = OpenOptions::new().create(true).append(true).open(file)?;
        writeln!(file, "{} # {}", failure.seed, failure.law())?;
    }
    report(cli, (done, steps), start.elapsed(), failure.as_ref());
    Ok(failure)
}

fn report(cli: &Cli, (seeds, steps): (u64, u64), took: Duration, failure: Option<&Failure>) {
    let (protocol, seconds) = (cli.protocol.name(), took.as_secs_f64());
    if cli.json {
        let failure = failure.map(|failure| {
            let (seed, law, text) = (failure.seed, failure.law(), failure.to_string());
            json!({ "seed": seed, "law": law, "text": text })
        });
        let accesses = cli.accesses;
        println!(
            "{}",
            json!({
                "protocol": protocol, "accesses": accesses, "seeds": seeds, "steps": steps,
                "seconds": seconds, "failure": failure,
            })
        );
        return;
    }
    if let Some(failure) = failure {
        let (from, accesses) = (failure.seed, cli.accesses);
        let to = from.saturating_add(1);
        let bug = cli.mutant.map(|mutant| format!(" --mutant {mutant:?}"));
        println!(
            "{failure}\nTo see it again: cargo run --release --example soak -- --protocol {protocol} \
             --seeds {from}..{to} --accesses {accesses}{}\n",
            bug.unwrap_or_default()
        );
    }
    let failed = u64::from(failure.is_some());
    println!(
        "{protocol}: {seeds} seeds, {steps} steps in {seconds:.0} s ({:.0} steps/s), {failed} failed",
        steps as f64 / seconds
    );
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
    let seeds: Vec<_> = numbers.collect::<anyhow::Result<_>>()?;
    ensure!(
        !seeds.is_empty(),
        "there are no seeds in {}",
        file.display()
    );
    Ok(seeds)
}
