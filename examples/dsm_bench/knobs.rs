//! What each thing that nodes do unasked buys, for work that it is made for.
//!
//! Two clusters, one with it and one without, do the same by turns.

use std::time::Duration;

use anyhow::Context;
use comfy_table::Table;
use giantvm_examples::spread::Spread;
use serde::Serialize;

use crate::cli::Cli;
use crate::far::{Answer, Duty, FarSide, Order};
use crate::pair::{Cluster, Knobs, Node};
use crate::table::table;
use crate::workload::{Touch, Walk, Writer};

/// Something that nodes do unasked.
#[derive(Debug, Clone, Copy)]
struct Knob {
    name: &'static str,
    work: &'static str,
    unit: &'static str,
    nodes: usize,
    without: fn(Knobs) -> Knobs,
    measure: fn(&mut Nodes, &Cli) -> anyhow::Result<f64>,
}

const KNOBS: [Knob; 4] = [
    Knob {
        name: "migratory",
        work: "a and b load and store each page by turns",
        unit: "transfers a page",
        nodes: 2,
        without: |knobs| Knobs {
            migratory: false,
            ..knobs
        },
        measure: |nodes, cli| nodes.updates(cli).map(|[transfers, _]| transfers),
    },
    Knob {
        name: "migratory",
        work: "the same",
        unit: "us a page",
        nodes: 2,
        without: |knobs| Knobs {
            migratory: false,
            ..knobs
        },
        measure: |nodes, cli| nodes.updates(cli).map(|[_, us]| us),
    },
    Knob {
        name: "hold",
        work: "a, b and c write one page",
        unit: "transfers a waiting store",
        nodes: 3,
        without: |knobs| Knobs {
            hold: false,
            ..knobs
        },
        measure: Nodes::contended,
    },
    Knob {
        name: "homes move",
        work: "a stores to pages that b has read, c is home",
        unit: "us a page",
        nodes: 3,
        without: |knobs| Knobs {
            moves: false,
            ..knobs
        },
        measure: Nodes::upgrades,
    },
];

/// What became of a knob.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    knob: &'static str,
    work: &'static str,
    unit: &'static str,
    on: Spread,
    off: Spread,
    ratio: Spread,
}

/// Turns of a workload before it is measured: patterns have to be seen first.
const WARMING: usize = 12;

pub(crate) fn run(cli: &Cli, cpus: &[usize]) -> anyhow::Result<Vec<Row>> {
    KNOBS.iter().map(|knob| knob.run(cli, cpus)).collect()
}

impl Knob {
    fn run(&self, cli: &Cli, cpus: &[usize]) -> anyhow::Result<Row> {
        let on = Knobs {
            home: u8::try_from(self.nodes - 1)?,
            ..Knobs::of(cli.pump)
        };
        let mut kinds = [on, (self.without)(on)]
            .into_iter()
            .map(|knobs| Nodes::start(cli, cpus, knobs, self.nodes))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut found = [Vec::new(), Vec::new()];
        for round in 0..WARMING + usize::try_from(cli.rounds)? {
            for (nodes, found) in kinds.iter_mut().zip(&mut found) {
                let figure = (self.measure)(nodes, cli)?;
                if round >= WARMING {
                    found.push(figure);
                }
            }
        }
        kinds.into_iter().try_for_each(Nodes::part)?;
        let [on, off] = found;
        let ratio = on.iter().zip(&off).map(|(on, off)| on / off).collect();
        Ok(Row {
            knob: self.name,
            work: self.work,
            unit: self.unit,
            on: on.into_iter().collect(),
            off: off.into_iter().collect(),
            ratio,
        })
    }
}

/// Node a and the others.
#[derive(Debug)]
struct Nodes {
    node: Node,
    fars: Vec<FarSide>,
}

impl Nodes {
    fn start(cli: &Cli, cpus: &[usize], knobs: Knobs, nodes: usize) -> anyhow::Result<Self> {
        let cluster = Cluster::choose(nodes, cpus)?;
        let duty = Duty::Plain(knobs);
        let fars = (1..nodes).map(|number| FarSide::spawn(number, &cluster, &duty));
        let fars = fars.collect::<anyhow::Result<_>>()?;
        let node = knobs.join(0, &cluster, cli)?;
        Ok(Self { node, fars })
    }

    fn part(self) -> anyhow::Result<()> {
        FarSide::part(self.fars, self.node)
    }

    fn tell(&mut self, far: usize, order: Order) -> anyhow::Result<Answer> {
        let far = self.fars.get_mut(far).context("there are as many")?;
        far.ask(order)
    }

    /// How often each page came, and how long it took.
    fn updates(&mut self, cli: &Cli) -> anyhow::Result<[f64; 2]> {
        let walk = Walk::apart(cli.pages);
        self.tell(0, Order::Update(walk))?;
        let before = self.node.dsm.stats().faults_remote();
        let times = self.node.update(walk)?;
        let transfers = self.node.dsm.stats().faults_remote() - before;
        Ok([transfers as f64 / cli.pages as f64, times.median()])
    }

    /// How often the page came for each write that had to wait.
    fn contended(&mut self, cli: &Cli) -> anyhow::Result<f64> {
        let millis = cli.writing.min(100);
        for far in &mut self.fars {
            far.order(Order::Write(millis))?;
        }
        let mut writers = vec![self.node.write(Duration::from_millis(millis))?];
        for far in &mut self.fars {
            if let Answer::Wrote(writer) = far.answer()? {
                writers.push(writer);
            }
        }
        let sum = |of: fn(&Writer) -> u64| writers.iter().map(of).sum::<u64>().max(1) as f64;
        Ok(sum(|writer| writer.handovers) / sum(|writer| writer.waits))
    }

    /// How long a store takes to a page that another node has read.
    fn upgrades(&mut self, cli: &Cli) -> anyhow::Result<f64> {
        let walk = Walk::apart(cli.pages);
        self.tell(0, Order::Share(walk))?;
        Ok(self.node.touch(walk, Touch::Store)?.median())
    }
}

/// The rows for people.
pub(crate) fn show(rows: &[Row]) -> Table {
    let mut table = table([
        "knob",
        "work",
        "unit",
        "with",
        "without",
        "ratio",
        "low..high",
    ]);
    for row in rows {
        table.add_row([
            row.knob.to_owned(),
            row.work.to_owned(),
            row.unit.to_owned(),
            format!("{:.2}", row.on.median),
            format!("{:.2}", row.off.median),
            format!("{:.3}", row.ratio.median),
            format!("{:.3}..{:.3}", row.ratio.low, row.ratio.high),
        ]);
    }
    table
}
