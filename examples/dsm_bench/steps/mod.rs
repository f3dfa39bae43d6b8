//! Remote stores taken apart: who does what for how long, until the whole time is told.
//!
//! A pair of nodes notes what it does, and another pair does the same work unwatched, by turns. Of
//! the stores that were watched the middle half is taken, those that were neither lucky nor
//! disturbed; of them the means of all steps add up to the mean of the whole.

mod memory;
mod notes;
mod path;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use comfy_table::Table;
use giantvm_core::{Epoch, NodeId, PageRange, PageSize};
use giantvm_dsm::backing;
use giantvm_dsm::engine::{Dsm, DsmOptions};
use giantvm_dsm::protocol::{Directory, HomeMap};
use serde::Serialize;
use vm_memory::Bytes as _;

use self::memory::NotedMemory;
use self::notes::{Notes, now};
use self::path::{At, FETCH, UPGRADE, follow};
use giantvm_examples::spread::Spread;

use crate::cli::Cli;
use crate::far::{self, Answer, Duty, FarSide, Order};
use crate::pair::{Cluster, Knobs, Node, together};
use crate::protocol::ProtocolKind;
use crate::table::table;
use crate::tap::Tapped;
use crate::workload::{Touch, Walk};

pub(crate) use self::path::{Note, What};

/// A step of a remote store.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    name: &'static str,
    node: At,
    us: f64,
    percent: f64,
}

/// A kind of remote store.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    steps: &'static [path::Step],
    /// Whether a has read the pages before.
    read: bool,
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "one remote store",
        steps: FETCH,
        read: false,
    },
    Kind {
        name: "one upgrade",
        steps: UPGRADE,
        read: true,
    },
];

/// A remote store.
#[derive(Debug, Serialize)]
pub(crate) struct Steps {
    kind: &'static str,
    steps: Vec<Step>,
    /// The sum of all steps: the mean time of the stores they are taken from.
    sum_us: f64,
    /// How many stores those are, and how many there were.
    stores: [usize; 2],
    /// The median of the same stores without notes, and what is left when the sum is taken off.
    unwatched_us: f64,
    remainder_us: f64,
}

/// A node that notes what it does.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) node: Node,
    pub(crate) notes: Notes,
}

impl Noted {
    pub(crate) fn join(number: usize, cluster: &Cluster, cli: &Cli) -> anyhow::Result<Self> {
        let (notes, options) = (Notes::default(), options(cli));
        let transport = Tapped::new(cluster.join(number, cli.transport)?, notes.clone());
        let pages = cli.data_pages();
        let homes = HomeMap::new([(PageRange::first(pages), NodeId::new(1)?)])?;
        let (inner, mapping) = backing::open(pages, PageSize::K4, options.backing)?;
        let inner = NotedMemory {
            inner,
            notes: notes.clone(),
        };
        let dsm = Dsm::start_on::<Directory>(
            (Box::new(inner), mapping),
            Arc::new(transport),
            Epoch::FIRST,
            homes,
            together(),
            options,
        )?;
        let node = Node::of(number, dsm)?;
        Ok(Self { node, notes })
    }
}

/// Of nodes that do not guess that a page which is read will be written: else there are no upgrades.
fn options(cli: &Cli) -> DsmOptions {
    let mut options = cli.pump.options();
    options.migratory = false;
    options
}

/// What node b does.
pub(crate) fn note(number: usize, cluster: &Cluster, cli: &Cli) -> anyhow::Result<()> {
    let Noted { node, notes } = Noted::join(number, cluster, cli)?;
    far::obey(|order| match order {
        Order::Notes => Ok(Answer::Noted(notes.take())),
        order => node.obey(order),
    })?;
    node.finish()
}

/// What node a does. Nothing where the nodes run a protocol whose steps are others.
pub(crate) fn run(cli: &Cli, cpus: &[usize]) -> anyhow::Result<Vec<Steps>> {
    if cli.protocol != ProtocolKind::Directory {
        return Ok(Vec::new());
    }
    let clusters = [Cluster::choose(2, cpus)?, Cluster::choose(2, cpus)?];
    let plain = Duty::Plain(Knobs::of(cli.pump));
    let mut watching = vec![FarSide::spawn(1, &clusters[0], &Duty::Noting)?];
    let mut others = vec![FarSide::spawn(1, &clusters[1], &plain)?];
    let watched = Noted::join(0, &clusters[0], cli)?;
    let unwatched = Node::join(0, &clusters[1], cli, options(cli))?;
    let mut found = KINDS.map(Measured::of);
    let walk = Walk::apart(cli.pages);
    for _ in 0..cli.rounds {
        for found in &mut found {
            others[0].ask(Order::Own(walk))?;
            watching[0].ask(Order::Own(walk))?;
            if found.kind.read {
                unwatched.touch(walk, Touch::Load)?;
                watched.node.touch(walk, Touch::Load)?;
            }
            let unnoted = unwatched.touch(walk, Touch::Store)?.median();
            watching[0].ask(Order::Notes)?;
            watched.notes.take();
            let times = stores(&watched.node, walk)?;
            let a = watched.notes.take();
            let Answer::Noted(b) = watching[0].ask(Order::Notes)? else {
                bail!("node b noted nothing");
            };
            found.add(&times, [&a, &b], unnoted);
        }
    }
    FarSide::part(watching, watched.node)?;
    FarSide::part(others, unwatched)?;
    found.into_iter().map(Steps::of).collect()
}

/// The stores of one kind.
struct Measured {
    kind: Kind,
    /// Nanoseconds of the steps of each that could be followed.
    paths: Vec<Vec<u64>>,
    /// How many there were.
    count: usize,
    /// Of those that were not watched.
    medians: Vec<f64>,
}

impl Measured {
    const fn of(kind: Kind) -> Self {
        Self {
            kind,
            paths: Vec::new(),
            count: 0,
            medians: Vec::new(),
        }
    }

    fn add(&mut self, times: &[[u64; 2]], notes: [&[Note]; 2], unwatched: f64) {
        self.count += times.len();
        let follow = |&span: &[u64; 2]| follow(self.kind.steps, span, notes);
        self.paths.extend(times.iter().filter_map(follow));
        self.medians.push(unwatched);
    }
}

/// When each store began and ended.
fn stores(node: &Node, walk: Walk) -> anyhow::Result<Vec<[u64; 2]>> {
    let mut spans = Vec::new();
    for at in walk.addresses() {
        let start = now();
        node.memory.store(at.0, at, Ordering::Relaxed)?;
        spans.push([start, now()]);
    }
    Ok(spans)
}

/// The tables for people.
pub(crate) fn show(kinds: &[Steps]) -> String {
    let tables = kinds.iter().map(|steps| steps.show().to_string());
    tables.collect::<Vec<_>>().join("\n")
}

impl Steps {
    fn of(measured: Measured) -> anyhow::Result<Self> {
        let (count, kind) = (measured.count, measured.kind);
        let unwatched_us = measured.medians.into_iter().collect::<Spread>().median;
        let mut paths = measured.paths;
        paths.sort_by_key(|path| path.iter().sum::<u64>());
        let quarter = paths.len() / 4;
        let middle = &paths[quarter..paths.len() - quarter];
        middle.first().context("no store could be followed")?;
        let mean = |at: usize| {
            let ns = middle.iter().map(|path| path[at]).sum::<u64>();
            ns as f64 / middle.len() as f64 / 1e3
        };
        let sum_us = (0..kind.steps.len()).map(mean).sum::<f64>();
        let steps = kind.steps.iter().enumerate().map(|(at, step)| Step {
            name: step.name,
            node: step.at,
            us: mean(at),
            percent: mean(at) / sum_us * 100.0,
        });
        Ok(Self {
            kind: kind.name,
            steps: steps.collect(),
            sum_us,
            stores: [middle.len(), count],
            unwatched_us,
            remainder_us: unwatched_us - sum_us,
        })
    }

    /// The rows for people.
    fn show(&self) -> Table {
        let mut table = table([self.kind, "node", "us", "%"]);
        for step in &self.steps {
            table.add_row([
                step.name.to_owned(),
                format!("{:?}", step.node).to_lowercase(),
                format!("{:.2}", step.us),
                format!("{:.1}", step.percent),
            ]);
        }
        let mut row = |name: &str, us: f64| {
            table.add_row([name.to_owned(), String::new(), format!("{us:.2}")]);
        };
        row("sum", self.sum_us);
        row("remainder: less without notes", self.remainder_us);
        row("median of stores without notes", self.unwatched_us);
        table
    }
}
