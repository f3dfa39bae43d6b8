//! Measures what a page fault costs between two node processes, beside its floor, in one run.
//!
//! This process is node a and measures; it starts node b. [`workload`] is what both do, [`floor`]
//! what it is compared with, [`pair`] how the two come together.

mod floor;
mod pair;
#[path = "../protocol.rs"]
mod protocol;
mod report;
mod sample;
mod workload;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Parser;
use clap::builder::RangedU64ValueParser;

use crate::floor::{Floors, RawLink};
use crate::pair::{FarSide, Node, Ports};
use crate::protocol::ProtocolKind;
use crate::report::Report;
use crate::workload::{Role, Round};

/// Measures remote faults, ping-pong and scans between two node processes on this host, beside
/// floors of the same run: a bare userfaultfd fault, bare TCP round trips, a bare TCP stream.
///
/// Every round measures everything once, so that what disturbs the host disturbs all alike.
#[derive(Debug, Parser)]
#[command(name = "dsm_bench", version)]
struct Cli {
    /// Faults of each kind in a round.
    #[arg(long, value_name = "N", default_value_t = 1000,
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=1_000_000))]
    pages: u64,
    /// Rounds.
    #[arg(long, value_name = "N", default_value_t = 5,
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=1000))]
    rounds: u64,
    /// Mebibytes of a sequential scan.
    #[arg(long, value_name = "MIB", default_value_t = 32,
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=16_384))]
    scan: u64,
    /// How the two nodes keep their memory coherent.
    #[arg(long, value_enum, default_value_t = ProtocolKind::Directory)]
    protocol: ProtocolKind,
    /// Also write the figures as JSON to FILE, or with `-` to standard output, and then nothing
    /// else.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Be node b, at these ports; set by the process that measures.
    #[arg(long, hide = true)]
    far: Option<Ports>,
}

impl Cli {
    /// Pages of a sequential scan.
    const fn scan_pages(&self) -> u64 {
        self.scan << (20 - 12)
    }

    /// Pages of shared data.
    fn data_pages(&self) -> u64 {
        self.scan_pages().max(self.pages)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.far {
        None => measure(&cli),
        Some(ports) => answer(&cli, ports),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dsm_bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What node b does.
fn answer(cli: &Cli, ports: Ports) -> anyhow::Result<()> {
    pair::die_with_parent()?;
    let raw = std::thread::spawn(move || floor::answer(ports.raw));
    let node = Node::join(Role::B, ports, cli.protocol, cli.data_pages())?;
    for _ in 0..cli.rounds {
        node.script().round(cli.pages, cli.scan_pages())?;
    }
    node.finish()?;
    raw.join().expect("it does not panic")
}

/// What node a does.
fn measure(cli: &Cli) -> anyhow::Result<()> {
    // Before the measurement, which takes a while.
    let json = cli.json.as_deref().map(create).transpose()?;
    let (ports, listener) = Ports::choose()?;
    let mut far = FarSide::spawn(ports)?;
    let mut link = RawLink::accept(&listener, &mut far)?;
    let node = Node::join(Role::A, ports, cli.protocol, cli.data_pages())?;
    let mut rounds: Vec<(Round, Floors)> = Vec::new();
    for number in 1..=cli.rounds {
        let floors = Floors::measure(&mut link, cli.pages, cli.scan << 20)?;
        let round = node.script().round(cli.pages, cli.scan_pages())?;
        eprintln!("round {number} of {}: {round}", cli.rounds);
        rounds.push((round, floors));
    }
    node.finish()?;
    drop(link);
    ensure!(far.wait()?.success(), "node b failed");
    let report = Report::of(cli.protocol, &rounds);
    match json {
        Some(mut file) => {
            eprint!("{}", report.to_text());
            serde_json::to_writer_pretty(&mut file, &report).context("cannot write the JSON")?;
            writeln!(file).and_then(|()| file.flush())?;
        }
        None => print!("{}", report.to_text()),
    }
    Ok(())
}

fn create(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Box::new(file))
}
