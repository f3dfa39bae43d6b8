//! Measures what a page fault costs between node processes, beside its floor, in one run.
//!
//! This process is node a and measures; it starts the others. [`workload`] is what nodes do,
//! [`round`] in which order, [`floor`] what it is compared with, [`pair`] how they come together,
//! [`far`] how a tells the others what to do, [`report`] and [`picture`] what comes out.

mod bars;
mod cli;
mod far;
mod floor;
mod load;
mod pair;
mod picture;
mod place;
#[path = "../protocol.rs"]
mod protocol;
mod report;
mod round;
mod sample;
mod table;
mod workload;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use indicatif::ProgressBar;

use crate::cli::Cli;
use crate::far::{FarSide, Identity};
use crate::floor::{Floors, Memory, Raw};
use crate::load::Load;
use crate::pair::{Cluster, Node};
use crate::report::{Measured, Report};
use crate::round::Bench;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.far {
        _ if !cli.busy.is_empty() => load::keep_busy(&cli.busy),
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
fn be_far(cli: &Cli, Identity { number, cluster }: &Identity) -> anyhow::Result<()> {
    far::die_with_parent()?;
    cli.place.take(&cluster.cpus, *number)?;
    std::thread::scope(|scope| {
        let raw = (*number == 1).then(|| scope.spawn(|| floor::answer(cluster)));
        let node = Node::join(*number, cluster, cli)?;
        far::obey(|order| node.obey(order))?;
        node.finish()?;
        raw.map_or(Ok(()), |raw| raw.join().expect("it does not panic"))
    })
}

/// What node a does.
fn measure(cli: &Cli) -> anyhow::Result<()> {
    // Before the measurement, which takes a while.
    let json = cli.json.as_deref().map(create).transpose()?;
    let svg = cli.svg.as_deref().map(create).transpose()?;
    let rounds = run(cli)?;
    let report = Report::of(cli, &rounds);
    if let Some(mut file) = svg {
        write!(file, "{}", picture::draw(&rounds)?)?;
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

fn run(cli: &Cli) -> anyhow::Result<Vec<Measured>> {
    let (memory, cpus) = (Memory::new()?, place::allowed()?);
    let (cluster, listener) = Cluster::choose(cli.nodes(), memory.path(), cpus)?;
    let fars = (1..cli.nodes()).map(|number| FarSide::spawn(number, &cluster));
    let mut fars = fars.collect::<anyhow::Result<Vec<_>>>()?;
    cli.place.take(&cluster.cpus, 0)?;
    let mut raw = Raw::accept(&listener, &memory, &mut fars[0])?;
    let node = Node::join(0, &cluster, cli)?;
    let loads = cli.load.rounds();
    let progress = ProgressBar::new(cli.rounds * loads.len() as u64);
    let mut rounds = Vec::new();
    for number in 1..=cli.rounds {
        for &loaded in loads {
            let load = loaded.then(|| Load::start(&cluster.cpus)).transpose()?;
            let floors = Floors::measure(&mut raw, cli.transport, cli.pages, cli.scan << 20)?;
            let (node, fars) = (&node, &mut fars[..]);
            let round = Bench { node, fars, cli }.round()?;
            drop(load);
            let state = if loaded { "loaded" } else { "idle" };
            progress.suspend(|| eprintln!("round {number} of {}, {state}: {round}", cli.rounds));
            progress.inc(1);
            rounds.push(Measured {
                loaded,
                round,
                floors,
            });
        }
    }
    progress.finish_and_clear();
    raw.end()?;
    fars.iter_mut().for_each(FarSide::dismiss);
    node.finish()?;
    fars.into_iter().try_for_each(FarSide::wait)?;
    Ok(rounds)
}

fn create(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Box::new(file))
}
