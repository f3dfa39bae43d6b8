//! What it costs to share more memory than a node has.
//!
//! [`cluster`] starts nodes with little memory in this process, [`work`] is what their threads do,
//! [`measure`] does it once with too little memory and by turns with enough, [`table`] shows both.

mod cluster;
mod measure;
#[path = "../protocol.rs"]
mod protocol;
mod table;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use giantvm_examples::output;
use giantvm_sched::Size;

use crate::protocol::ProtocolKind;

const EXAMPLES: &str = "\
Examples:
  capacity                         four nodes, a working set of four times what each gives
  capacity --budget 16M            more memory
  capacity --protocol lease        another coherence protocol
  capacity --json - | jq .         the same figures, for machines

Under ivy a page's owner cannot give it up, so nodes take more than they should.

Exit status:
  0  every word had the right value at the end
  1  one had not, or something else went wrong
  2  the command line is wrong";

/// Shares more memory than any node has, and shows what that costs.
///
/// Every node adds to a word of its own on every page, in the order of the pages and in none, and
/// reads what the others wrote; all words are checked at the end. The first table is of a working
/// set that has as many budgets as there are nodes, of which the last node gives two. The second one
/// is of a working set that fits, by turns with the budget and without: there it has to cost nothing.
#[derive(Debug, Parser)]
#[command(name = "capacity", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    /// How many nodes there are.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=7))]
    nodes: u8,

    /// How much memory a node gives.
    #[arg(long, value_name = "SIZE", default_value = "4M", value_parser = budget)]
    budget: Size,

    /// How often the working set that fits is measured, with the budget and without.
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u16).range(0..=1000))]
    rounds: u16,

    /// How the nodes keep their memory coherent.
    #[arg(long, value_enum, default_value_t = ProtocolKind::Directory)]
    protocol: ProtocolKind,

    /// Write the figures as JSON to FILE, or with `-` to standard output and the tables to standard
    /// error.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A budget with room for a working set, and no more than the words of this process.
fn budget(text: &str) -> Result<Size, String> {
    let size: Size = text.parse().map_err(|error| format!("{error}"))?;
    if (1 << 20..=1 << 30).contains(&size.bytes()) {
        Ok(size)
    } else {
        Err("choose from 1M to 1G".into())
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("capacity: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let report = measure::report(cli.protocol, cli.nodes.into(), cli.budget, cli.rounds)?;
    let text = table::text(&report);
    output::show(&text, &report, cli.json.as_deref())
}
