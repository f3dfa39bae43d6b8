//! Random scenarios for as long as you like: the same that the tests run, with other seeds.

mod cli;
mod report;
mod work;

use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Parser;
use giantvm_dsm::mutants::choose;
use giantvm_dsm::testing::Failure;
use indicatif::{ProgressBar, ProgressStyle};

use cli::{Cli, read_seeds};
use report::report;
use work::Soak;

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
