//! What goes over the wire when work moves to another node, and when its whole machine does.
//!
//! [`work`] is what the machine does, in [`vm`], its memory. [`movement`] has it go on on another
//! [`node`] of the distributed memory; [`precopy`] sends all memory first, [`sender`] in rounds by the rules of
//! `giantvm_sched::precopy`, over [`side`]s that log stores, with [`frames`]. [`speed`] says when work is
//! at full speed again; [`report`], [`table`] and [`charts`] show it.

mod charts;
mod frames;
mod leg;
mod link;
mod machine;
mod movement;
mod node;
mod plan;
mod precopy;
#[path = "../protocol.rs"]
mod protocol;
mod report;
mod sender;
mod side;
mod speed;
mod table;
mod vm;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum as _};
use giantvm_examples::output;
use giantvm_sched::precopy::Terms;
use giantvm_sched::schedule::Nanos;

use crate::link::Link;
use crate::plan::Plan;
use crate::protocol::ProtocolKind;
use crate::vm::Size;
use crate::work::Work;

const EXAMPLES: &str = "\
Examples:
  migrate                              seven workloads, 256 MiB: some minutes
  migrate --memory 1G --used 88        a larger machine, as full as those of a production trace
  migrate --work streaming --rounds 5  one workload
  migrate --json - | jq .saved         the same figures, for machines

Exit status:
  0  everything was measured, and all memory was right
  1  it was not, or something else went wrong
  2  the command line is wrong";

/// Measures bytes on the wire, and time until full speed, when work moves between two nodes.
///
/// By one means only the thread moves: it goes on on the other node, and pages follow as it uses
/// them. What it does not use stays. Then it moves back, to where pages are still of use. By the
/// other means the machine is sent as a whole by pre-copy: stores are logged by write-protection,
/// rounds go on until the rest fits into the downtime, pages of zeroes are left out. Both use the same
/// link and the same frames, and neither compresses. After either means all memory is compared with
/// what it has to hold.
///
/// Bytes count both ways, from the decision until the work was done for a while on the other side.
/// Work moves between its steps; a benchmark's step is a whole run.
#[derive(Debug, Parser)]
#[command(name = "migrate", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    /// Which workloads; all if none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    work: Vec<Work>,

    /// The machine's memory.
    #[arg(long, value_enum, default_value_t = Size::M256)]
    memory: Size,

    /// How many of a hundred of its pages are not zero.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    used: u8,

    /// How long the machine may stand still in pre-copy, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    downtime: u64,

    /// MiB that a node keeps of pages that it had, to be sent less when they come back.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(0..=1024))]
    standby: u16,

    /// How often each workload moves there and back, by either means.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,

    /// What the nodes talk over.
    #[arg(long, value_enum, default_value_t = Link::Tcp)]
    transport: Link,

    /// How the nodes keep their memory coherent.
    #[arg(long, value_enum, default_value_t = ProtocolKind::Directory)]
    protocol: ProtocolKind,

    /// Write the figures as JSON to FILE, or with `-` to standard output and the tables to standard
    /// error.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Draw the figures into FILE.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("migrate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let works = if cli.work.is_empty() {
        Work::value_variants()
    } else {
        &cli.work
    };
    let terms = Terms {
        downtime: Nanos::from(Duration::from_millis(cli.downtime)),
        ..Terms::default()
    };
    let plan = Plan {
        work: works[0],
        size: cli.memory,
        used: cli.memory.pages() * u64::from(cli.used) / 100,
        link: cli.transport,
        protocol: cli.protocol,
        standby: usize::from(cli.standby) << 20,
        terms,
        turn: 0,
    };
    let bar = output::progress(
        works.len() as u64 * 2 * u64::from(cli.rounds),
        "of {len} trips",
    )?;
    let report = report::report(&plan, works, cli.rounds, &bar)?;
    bar.finish_and_clear();
    output::picture(cli.svg.as_deref(), || charts::draw(&report))?;
    let text = table::text(&report);
    output::show(&text, &report, cli.json.as_deref())
}
