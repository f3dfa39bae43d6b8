//! One remote store taken apart: who does what for how long, until the whole time is told.
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
use giantvm_dsm::engine::Dsm;
use giantvm_dsm::protocol::{Directory, HomeMap};
use serde::Serialize;
use vm_memory::Bytes as _;

use self::memory::NotedMemory;
use self::notes::{Notes, now};
use self::path::{At, STEPS, follow};
use crate::cli::Cli;
use crate::far::{self, Answer, Duty, FarSide, Order};
use crate::pair::{Cluster, Node, together};
use crate::protocol::ProtocolKind;
use crate::sample::Spread;
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

/// A remote store.
#[derive(Debug, Serialize)]
pub(crate) struct Steps {
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
        let (notes, options) = (Notes::default(), cli.pump.options());
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

/// What node b does.
pub(crate) fn note(number: usize, cluster: &Cluster, cli: &Cli) -> anyhow::Result<()> {
    let Noted { node, notes } = Noted::join(number, cluster, cli)?;
    far::obey(|order| match order {
        Order::Notes => Ok(Answer::Noted(notes.take())),
        order => node.obey(order),
    })?;
    node.finish()
}

/// What node a does. `None` where the nodes run a protocol whose steps are others.
pub(crate) fn run(cli: &Cli, cpus: &[usize]) -> anyhow::Result<Option<Steps>> {
    if cli.protocol != ProtocolKind::Directory {
        return Ok(None);
    }
    let clusters = [Cluster::choose(2, cpus)?, Cluster::choose(2, cpus)?];
    let (pump, read_ahead) = (cli.pump, cli.pump.options().read_ahead);
    let plain = Duty::Plain { pump, read_ahead };
    let mut watching = vec![FarSide::spawn(1, &clusters[0], &Duty::Noting)?];
    let mut others = vec![FarSide::spawn(1, &clusters[1], &plain)?];
    let watched = Noted::join(0, &clusters[0], cli)?;
    let unwatched = Node::join(0, &clusters[1], cli, cli.pump.options())?;
    let (mut paths, mut count, mut medians) = (Vec::new(), 0, Vec::new());
    let walk = Walk::scattered(cli.pages, cli.pages);
    for _ in 0..cli.rounds {
        others[0].ask(Order::Own(walk))?;
        medians.push(unwatched.touch(walk, Touch::Store)?.median());
        watching[0].ask(Order::Own(walk))?;
        watching[0].ask(Order::Notes)?;
        watched.notes.take();
        let times = stores(&watched.node, walk)?;
        let a = watched.notes.take();
        let Answer::Noted(b) = watching[0].ask(Order::Notes)? else {
            bail!("node b noted nothing");
        };
        count += times.len();
        let found = times
            .into_iter()
            .map(|[start, end]| follow(start, end, &a, &b));
        paths.extend(found.flatten());
    }
    FarSide::part(watching, watched.node)?;
    FarSide::part(others, unwatched)?;
    let unwatched_us = medians.into_iter().collect::<Spread>().median;
    Steps::of(paths, count, unwatched_us).map(Some)
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

impl Steps {
    fn of(
        mut paths: Vec<[u64; STEPS.len()]>,
        count: usize,
        unwatched_us: f64,
    ) -> anyhow::Result<Self> {
        paths.sort_by_key(|path| path.iter().sum::<u64>());
        let quarter = paths.len() / 4;
        let middle = &paths[quarter..paths.len() - quarter];
        middle.first().context("no store could be followed")?;
        let mean = |at: usize| {
            let ns = middle.iter().map(|path| path[at]).sum::<u64>();
            ns as f64 / middle.len() as f64 / 1e3
        };
        let sum_us = (0..STEPS.len()).map(mean).sum::<f64>();
        let steps = STEPS.iter().enumerate().map(|(at, step)| Step {
            name: step.name,
            node: step.at,
            us: mean(at),
            percent: mean(at) / sum_us * 100.0,
        });
        Ok(Self {
            steps: steps.collect(),
            sum_us,
            stores: [middle.len(), count],
            unwatched_us,
            remainder_us: unwatched_us - sum_us,
        })
    }

    /// The rows for people.
    pub(crate) fn show(&self) -> Table {
        let mut table = table(["one remote store", "node", "us", "%"]);
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
