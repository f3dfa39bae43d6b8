//! Measures what a page fault costs between node processes, beside its floor, in one run.
//!
//! This process is node a and measures; it starts the others. [`part`] is what can be measured,
//! each part has a module; [`workload`] is what nodes do, [`floor`] what they are compared with,
//! [`pair`] how they come together, [`far`] how a tells the others what to do, [`report`] and
//! [`picture`] what comes out.

mod ahead;
mod bars;
mod cli;
mod fan_out;
mod far;
mod faults;
mod floor;
mod idle;
mod knobs;
mod pair;
mod part;
mod picture;
mod place;
#[path = "../protocol.rs"]
mod protocol;
mod report;
mod sample;
mod scan;
mod scatter;
mod start;
mod steps;
mod table;
mod tap;
mod workload;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::cli::Cli;
use crate::far::{Duty, Identity};
use crate::pair::Node;
use crate::report::Found;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.far {
        _ if !cli.busy.is_empty() => faults::keep_busy(&cli.busy),
        None => measure(&cli),
        Some(identity) => be_far(&cli, identity),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dsm_bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What the other nodes do.
fn be_far(cli: &Cli, identity: &Identity) -> anyhow::Result<()> {
    let (number, cluster) = (identity.number, &identity.cluster);
    far::die_with_parent()?;
    cli.place.take(&cluster.cpus, number)?;
    match &identity.duty {
        Duty::Faults { raw, ring } => std::thread::scope(|scope| {
            let answers = (number == 1).then(|| scope.spawn(|| floor::answer(*raw, ring)));
            serve(Node::join(number, cluster, cli, cli.pump.options())?)?;
            answers.map_or(Ok(()), |raw| raw.join().expect("it does not panic"))
        }),
        Duty::Plain(knobs) => serve(knobs.join(number, cluster, cli)?),
        Duty::Share { echoes } => fan_out::share(number, cluster, echoes, cli),
        Duty::Noting => steps::note(number, cluster, cli),
    }
}

fn serve(node: Node) -> anyhow::Result<()> {
    far::obey(|order| node.obey(order))?;
    node.finish()
}

/// What node a does.
fn measure(cli: &Cli) -> anyhow::Result<()> {
    // Before the measurement, which takes a while.
    let json = cli.json.as_deref().map(create).transpose()?;
    let svg = cli.svg.as_deref().map(create).transpose()?;
    let found = Found::by(cli)?;
    let report = found.report(cli);
    if let Some(mut file) = svg {
        write!(file, "{}", picture::draw(&found, &report.setting)?)?;
        file.flush()?;
    }
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
