//! What moving vCPUs brings on two hosts whose processors are cut and restored, measured.
//!
//! The real half of `colocate`. [`cgroup`] makes the hosts, [`schedule`] says what their tenants leave,
//! [`placement`] who decides, by the policies of `giantvm_sched::reallocate`; the [`conductor`] tells them
//! and does as they say. A machine's vCPUs are threads that do a [`load`] at a [`pace`], where their
//! [`seat`]s say; its [`memory`] is distributed, or is sent [`live`]. [`run`] has both machines do so under
//! one placement; [`report`], [`table`] and [`charts`] show what came out. Links, memory and pre-copy
//! are those of `migrate`.

mod cgroup;
mod charts;
mod conductor;
#[path = "../migrate/frames.rs"]
mod frames;
#[path = "../migrate/link.rs"]
mod link;
mod live;
mod load;
#[path = "../migrate/machine.rs"]
mod machine;
mod memory;
#[path = "../migrate/node.rs"]
mod node;
mod pace;
mod placement;
mod plan;
#[path = "../protocol.rs"]
mod protocol;
mod report;
mod run;
mod schedule;
mod seat;
#[path = "../migrate/sender.rs"]
mod sender;
#[path = "../migrate/side.rs"]
mod side;
mod table;
#[path = "../migrate/vm.rs"]
mod vm;
#[path = "../migrate/work.rs"]
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use giantvm_examples::output;
use giantvm_sched::precopy::Terms;

use crate::cgroup::Hosts;
use crate::link::Link;
use crate::load::{Load, VCPUS};
use crate::plan::Plan;
use crate::protocol::ProtocolKind;
use crate::schedule::{A_SECOND, SLOT, Schedule, Tenants};
use crate::vm::Size;

const EXAMPLES: &str = "\
Examples:
  colocate_real                               three placements, five times two minutes each: 40 minutes
  colocate_real --work write-heavy --wants 10 another load, and less of it
  colocate_real --tenants any-time            tenants that need much at the same time now and then
  colocate_real --wave 8                      tenants that come and go too fast for moves to pay
  colocate_real --seconds 10 --rounds 1       a look at it
  colocate_real --json - | jq .rows           the same figures, for machines

It needs root, two processors, userfaultfd, and cgroups that limit processor time. Groups are called
`giantvm-colocate-` and the process' number, and go with it; what a killed one leaves the next one takes
away.

Exit status:
  0  everything was measured, and all memory was right
  1  it was not, or something else went wrong
  2  the command line is wrong
  4  this host cannot be divided, or cannot serve";

/// The exit status where hosts cannot be made.
const CANNOT: u8 = 4;

/// Measures how much work two virtual machines get done on two hosts whose processors are cut and
/// restored: left where they are, migrated live, or reallocated by the vCPU.
///
/// A host is a cgroup with a processor and a quota. By a schedule, its own tenant takes most of
/// the processor for some seconds, and little for some more; what the tenant leaves is the quota. Each
/// machine has two vCPUs, threads that are asked for as many steps as a part of a processor can do; what
/// is not done within 200 ms is given up. The first machine begins on the first host, the second on the second.
///
/// The policies are those of `colocate`, with times that fit how fast tenants come and go; twice a second
/// they are told what quotas were. Live migration sends a machine as a whole by pre-copy. Reallocation
/// has a vCPU go on on the other host between two steps; pages of its distributed memory follow. Whatever
/// serves or sends memory does so on its host, before other threads as far as the system lets it: as
/// real-time threads, whose time is counted and which no quota holds up. After each run all memory is
/// compared with what it has to hold.
#[derive(Debug, Parser)]
#[command(name = "colocate_real", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    /// What vCPUs do.
    #[arg(long, value_enum, default_value_t = Load::ReadMostly)]
    work: Load,

    /// What each vCPU wants, in hundredths of a processor while all work. By default all of them together
    /// want about what both hosts have left on average.
    #[arg(long, value_name = "PERCENT", default_value_t = 25, value_parser = clap::value_parser!(u32).range(5..=50))]
    wants: u32,

    /// Each machine's memory, at least 128M; half of it is not zero.
    #[arg(long, value_enum, default_value_t = Size::M256)]
    memory: Size,

    /// How long each run takes.
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u16).range(2..=3600))]
    seconds: u16,

    /// When hosts' tenants need much of their processors.
    #[arg(long, value_enum, default_value_t = Tenants::ByTurns)]
    tenants: Tenants,

    /// How long hosts' tenants stay as they are, a quarter more or less. Times of the policies go with it.
    #[arg(long, value_name = "S", default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=600))]
    wave: u16,

    /// How often each placement is run, by turns.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,

    /// The first round's schedule; each round has the next one, for all placements.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// What the hosts talk over.
    #[arg(long, value_enum, default_value_t = Link::Tcp)]
    transport: Link,

    /// How the distributed memory is kept coherent.
    #[arg(long, value_enum, default_value_t = ProtocolKind::Directory)]
    protocol: ProtocolKind,

    /// Where cgroups are mounted.
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/cgroup")]
    cgroups: PathBuf,

    /// Write the figures as JSON to FILE, or with `-` to standard output and the table to standard
    /// error.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Draw the figures into FILE.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.memory == Size::M64 {
        eprintln!("colocate_real: --memory 64M is too little for two vCPUs: choose 128M or more");
        return ExitCode::from(2);
    }
    let hosts = match hosts(&cli) {
        Ok(hosts) => hosts,
        Err(error) => {
            eprintln!("colocate_real: {error:#}");
            return ExitCode::from(CANNOT);
        }
    };
    match run(&cli, &Arc::new(hosts)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("colocate_real: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the hosts, or says what to do.
fn hosts(cli: &Cli) -> anyhow::Result<Hosts> {
    anyhow::ensure!(
        giantvm_dsm::uffd::Support::probe().missing(),
        "userfaultfd is missing or not allowed: `cargo run --release --example doctor` says what to do"
    );
    Hosts::new(&cli.cgroups).context(
        "the processors of this machine cannot be divided: run as root, with two processors, where cgroups \
         may be made (in a container: with --privileged), and name their mount by --cgroups",
    )
}

fn run(cli: &Cli, hosts: &Arc<Hosts>) -> anyhow::Result<()> {
    let cost = cli.work.cost(hosts, cli.memory)?;
    let slots = |seconds: u16| u32::from(seconds) * A_SECOND;
    let plan = Plan {
        load: cli.work,
        size: cli.memory,
        used: cli.memory.pages() / (2 * VCPUS as u64),
        wants: cli.wants,
        cost,
        link: cli.transport,
        protocol: cli.protocol,
        terms: Terms::default(),
        tenants: cli.tenants,
        wave: cli.wave.into(),
    };
    let seeds = (0..cli.rounds).map(|round| cli.seed.wrapping_add(round.into()));
    let schedules: Vec<_> = seeds
        .map(|seed| Schedule::new(seed, cli.tenants, slots(cli.seconds), slots(cli.wave)))
        .collect();
    let bar = output::progress(3 * u64::from(cli.rounds), "of {len} runs")?;
    bar.enable_steady_tick(SLOT);
    let report = report::report(&plan, cli.seed, &schedules, hosts, &bar)?;
    bar.finish_and_clear();
    output::picture(cli.svg.as_deref(), || charts::draw(&report))?;
    let text = table::text(&report);
    output::show(&text, &report, cli.json.as_deref())
}
