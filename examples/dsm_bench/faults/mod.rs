//! Faults, pages that several nodes write, scans and threads, each beside its floor.
//!
//! [`round`] says in which order, [`report`] what becomes of the figures.

mod load;
pub(crate) mod report;
pub(crate) mod round;
mod table;

use std::net::{Ipv4Addr, TcpListener};

use indicatif::ProgressBar;

pub(crate) use load::{Loads, keep_busy};

use self::load::Load;
use self::report::Measured;
use self::round::Bench;
use crate::cli::Cli;
use crate::far::{Duty, FarSide};
use crate::floor::{Floors, Memory, Raw};
use crate::pair::{Cluster, Node, port};

/// All rounds.
pub(crate) fn run(cli: &Cli, cpus: &[usize]) -> anyhow::Result<Vec<Measured>> {
    let (memory, listener) = (Memory::new()?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    let cluster = Cluster::choose(cli.nodes(), cpus)?;
    let (raw, ring) = (port(&listener)?, memory.path());
    let duty = Duty::Faults { raw, ring };
    let fars = (1..cli.nodes()).map(|number| FarSide::spawn(number, &cluster, &duty));
    let mut fars = fars.collect::<anyhow::Result<Vec<_>>>()?;
    let mut raw = Raw::accept(&listener, &memory, &mut fars[0])?;
    let node = Node::join(0, &cluster, cli, cli.pump.options())?;
    let loads = cli.load.rounds();
    let progress = ProgressBar::new(cli.rounds * loads.len() as u64);
    let mut rounds = Vec::new();
    for number in 1..=cli.rounds {
        for &loaded in loads {
            let load = loaded.then(|| Load::start(cpus)).transpose()?;
            // Beside others a stream stops whenever one end's turn is over.
            let bytes = (cli.scan << 20) / if loaded { 16 } else { 1 };
            let floors = Floors::measure(&mut raw, cli, bytes)?;
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
    FarSide::part(fars, node)?;
    Ok(rounds)
}
