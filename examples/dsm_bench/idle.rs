//! What nodes take of a processor that do nothing.

use std::time::Duration;

use comfy_table::Table;
use serde::Serialize;

use crate::bars::Verdict;
use crate::cli::Cli;
use crate::far::{Answer, Duty, FarSide, Order};
use crate::pair::{Cluster, Knobs, Pump};
use crate::place;
use crate::table::table;
use crate::workload::{Touch, Walk};

/// What an idle node may take of one processor, in percent.
const LITTLE: f64 = 1.0;
/// How long the nodes may take to find that nothing comes.
const SETTLING: Duration = Duration::from_millis(200);

/// Two nodes after a burst of faults.
#[derive(Debug, Serialize)]
pub(crate) struct Idle {
    pump: Pump,
    seconds: f64,
    /// Of one processor, of each node's whole process.
    percent: [f64; 2],
    verdict: Verdict,
}

pub(crate) fn run(cli: &Cli, cpus: &[usize]) -> anyhow::Result<Vec<Idle>> {
    let pumps = [Pump::Adaptive, Pump::Latency, Pump::Blocking];
    pumps.into_iter().map(|pump| one(cli, cpus, pump)).collect()
}

fn one(cli: &Cli, cpus: &[usize], pump: Pump) -> anyhow::Result<Idle> {
    let cluster = Cluster::choose(2, cpus)?;
    let knobs = Knobs::of(pump);
    let duty = Duty::Plain(knobs);
    let mut fars = vec![FarSide::spawn(1, &cluster, &duty)?];
    let node = knobs.join(0, &cluster, cli)?;
    let walk = Walk::scattered(cli.pages, cli.pages);
    fars[0].ask(Order::Own(walk))?;
    node.touch(walk, Touch::Store)?;
    std::thread::sleep(SETTLING);
    let before = worked(&mut fars[0])?;
    std::thread::sleep(Duration::from_millis(cli.idle));
    let after = worked(&mut fars[0])?;
    FarSide::part(fars, node)?;
    let seconds = Duration::from_millis(cli.idle).as_secs_f64();
    let percent = [0, 1].map(|node| (after[node] - before[node]) / seconds * 100.0);
    Ok(Idle {
        pump,
        seconds,
        percent,
        verdict: Verdict::of(percent.iter().all(|&percent| percent < LITTLE)),
    })
}

/// Seconds of processor time that both nodes took so far.
fn worked(far: &mut FarSide) -> anyhow::Result<[f64; 2]> {
    let there = match far.ask(Order::Worked)? {
        Answer::Worked(seconds) => seconds,
        _ => 0.0,
    };
    Ok([place::worked().as_secs_f64(), there])
}

/// The rows for people.
pub(crate) fn show(rows: &[Idle]) -> Table {
    let mut table = table(["idle", "pump", "node a %", "node b %", "seconds", "bar"]);
    for row in rows {
        table.add_row([
            "processor time".to_owned(),
            format!("{:?}", row.pump).to_lowercase(),
            format!("{:.3}", row.percent[0]),
            format!("{:.3}", row.percent[1]),
            format!("{:.1}", row.seconds),
            row.verdict.name().to_owned(),
        ]);
    }
    table
}
