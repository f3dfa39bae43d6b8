//! The NAS Parallel Benchmarks on more threads than vCPUs, over several nodes: threads that go where their
//! pages are (`das`) against threads that are placed by load alone (`fair`).
//!
//! Every run is an [`aggregate`](../aggregate/main.rs) of its own with one benchmark, started by
//! [`machine`]; [`matrix`] says which, [`figures`] what several of them come to, [`report`] shows it.

mod cli;
mod figures;
mod machine;
mod matrix;
mod picture;
mod report;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::Cli;
use crate::figures::{Figures, Round};
use crate::machine::{Aggregate, Setup};
use crate::report::Report;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("npb: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let aggregate = Aggregate::find()?;
    let cases = cli.cases();
    let bar = bar(cases.len() * usize::from(cli.pairs()) * Setup::ALL.len());
    let mut report = Report::new(cli);
    let mut rounds: Vec<Vec<Round>> = cases.iter().map(|_| Vec::new()).collect();
    // Every case once, then every case again: what disturbs the host for a while disturbs all.
    for round in 0..cli.pairs() {
        for (case, rounds) in cases.iter().zip(&mut rounds) {
            let mut order = Setup::ALL;
            if round % 2 == 1 {
                order.reverse();
            }
            let mut runs = Vec::new();
            for setup in order {
                bar.set_message(format!("{case} {}", setup.name()));
                let run = aggregate.run(case, setup, cli.transport);
                runs.push(run.with_context(|| format!("{case}, {}", setup.name()))?);
                bar.inc(1);
            }
            if round % 2 == 1 {
                runs.reverse();
            }
            rounds.push(Round::of(runs).context("all were run")?);
        }
    }
    bar.finish_and_clear();
    let figures = cases.into_iter().zip(rounds);
    report.finish(
        figures
            .map(|(case, rounds)| Figures::new(case, rounds))
            .collect(),
    );
    println!("{}", report.to_text());
    if let Some(path) = &cli.json {
        let json = serde_json::to_string_pretty(&report)? + "\n";
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &cli.svg {
        let picture = picture::draw(&report)?;
        std::fs::write(path, picture)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// How far it is; on a terminal only.
fn bar(runs: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {eta} left  {msg}");
    let bar = ProgressBar::new(runs as u64);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
