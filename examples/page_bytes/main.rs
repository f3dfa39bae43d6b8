//! Measures how many bytes a page fault moves, and how long it takes, for pages that hold different
//! things, with and without each way to pack them.
//!
//! Two nodes of this process take turns: one changes a page, the other reads it. [`measure`] is what
//! they do, [`table`] what comes out.

mod measure;
#[path = "../protocol.rs"]
mod protocol;
mod table;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use clap::builder::RangedU64ValueParser;

use crate::measure::{Contents, Link, Measured, Mode, measure};
use crate::protocol::ProtocolKind;
use crate::table::Report;

/// Prints bytes and time of a read fault, by what the page holds and how pages are packed.
///
/// zero: the page is full of zeroes. sparse: one line of 64 bytes changed since the reader had it.
/// dense: every other line did. random: all of it, to noise. The two in the middle hold small numbers,
/// which can be compressed.
///
/// plain: every page as it is. zero, delta, lz4: only that, on every link. auto: the default, which
/// on one host packs only zeroes.
#[derive(Debug, Parser)]
#[command(name = "page_bytes", version)]
struct Cli {
    /// Faults of each kind in a round.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1_000_000))]
    faults: u64,
    /// Rounds.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1000))]
    rounds: u64,
    /// How the nodes keep their memory coherent.
    #[arg(long, value_enum, default_value_t = ProtocolKind::Directory)]
    protocol: ProtocolKind,
    /// What the nodes talk over.
    #[arg(long, value_enum, default_value_t = Link::Shm)]
    transport: Link,
    /// Where the figures are written as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("page_bytes: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let kinds = Contents::ALL.into_iter();
    let kinds = kinds.flat_map(|contents| Mode::ALL.map(|mode| (contents, mode)));
    let mut measured: Vec<_> = kinds.map(|kind| (kind, Measured::default())).collect();
    // By turns, so that what disturbs the host disturbs all alike.
    for _ in 0..cli.rounds {
        for ((contents, mode), so_far) in &mut measured {
            measure(
                cli.protocol,
                cli.transport,
                (*contents, *mode),
                cli.faults,
                so_far,
            )?;
        }
    }
    let rows = measured.into_iter();
    let rows = rows
        .map(|((contents, mode), all)| all.row(contents, mode))
        .collect();
    let report = Report {
        protocol: cli.protocol.name(),
        transport: cli.transport,
        faults: cli.faults * cli.rounds,
        rows,
    };
    println!("{report}");
    if let Some(path) = &cli.json {
        let text = serde_json::to_string_pretty(&report)?;
        let file = File::create(path);
        let mut file = file.with_context(|| path.display().to_string())?;
        writeln!(file, "{text}")?;
    }
    Ok(())
}
