#![expect(
    clippy::cast_possible_truncation,
    reason = "shares and figures of a simulation, clamped before"
)]
//! What moving vCPUs brings where background machines live on hosts that belong to services.
//!
//! [`published`] is what is known of such clusters, [`tenants`] are services made after it,
//! [`population`] the machines beside them, [`world`] a day of both, step by step, with [`share`] and
//! [`queue`]; [`search`] finds how much each policy can promise, [`report`], [`table`] and [`charts`]
//! show it. The policies themselves are `giantvm_sched::reallocate`'s.

mod charts;
mod fit;
mod noise;
mod outcome;
mod population;
mod published;
mod queue;
mod report;
mod run;
mod search;
mod share;
mod table;
mod tenants;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use giantvm_examples::output;

use crate::population::Work;
use crate::run::Setting;

const EXAMPLES: &str = "\
Examples:
  colocate                          1,000 hosts, three days: five minutes
  colocate --hosts 100 --days 1     half a minute
  colocate --work independent       machines whose vCPUs do not wait for one another
  colocate --apart 1.5              hosts that differ more than those of the trace
  colocate --json - | jq .bar       the same figures, for machines

Exit status:
  0  everything was simulated
  1  something went wrong
  2  the command line is wrong";

/// Simulates a fleet whose hosts belong to latency-critical services, and machines that live on what
/// those leave: left where they are, migrated live, or reallocated by the vCPU.
///
/// Services need what the machines of a production trace did (mean, day, waves, differences: a table
/// compares both). Every 10 s each host sets aside what its service just used and 16 processors more;
/// machines have the rest. A machine is at speed as long as it gets nine tenths done of what it could.
///
/// The first table is of the same machines under each policy. The second is of as many as each
/// policy can take so that they are at speed for the promised share of the time: who keeps a promise
/// with more machines uses hosts better. The bar is a utilisation 14.3 % above that of static
/// placement and above live migration, with requests of services no slower.
#[derive(Debug, Parser)]
#[command(name = "colocate", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    /// How many hosts there are.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(8..=4096))]
    hosts: u16,

    /// How many days are simulated, each with another seed.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=30))]
    days: u8,

    /// What the machines do.
    #[arg(long, value_enum, default_value_t = Work::Mixed)]
    work: Work,

    /// How much hosts differ, as a part of what is known of the trace.
    #[arg(long, value_name = "TIMES", default_value_t = 1.0, value_parser = times)]
    apart: f64,

    /// vCPUs for each processor that services leave, in the first table.
    #[arg(long, value_name = "TIMES", default_value_t = 0.5, value_parser = times)]
    sold: f64,

    /// How many of a hundred steps machines are to be at speed, in the second table.
    #[arg(long, value_name = "PERCENT", default_value_t = 98.0, value_parser = percent)]
    promise: f64,

    /// The seed of the first day.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Write the figures as JSON to FILE, or with `-` to standard output and the tables to standard
    /// error.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Draw the figures into FILE.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn times(text: &str) -> Result<f64, String> {
    within(text, 0.05, 3.0)
}

fn percent(text: &str) -> Result<f64, String> {
    within(text, 50.0, 99.99)
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    let fits = (least..=most).contains(&number);
    fits.then_some(number)
        .ok_or(format!("choose from {least} to {most}"))
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("colocate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let setting = Setting {
        hosts: cli.hosts.into(),
        days: cli.days,
        seed: cli.seed,
        work: cli.work,
        apart: cli.apart,
    };
    let bar = output::progress(report::days_in_all(&setting), "of at most {len} days")?;
    let report = report::report(&setting, cli.sold, cli.promise / 100.0, &bar)?;
    bar.finish_and_clear();
    output::picture(cli.svg.as_deref(), || charts::draw(&report))?;
    let text = table::text(&report);
    output::show(&text, &report, cli.json.as_deref())
}
