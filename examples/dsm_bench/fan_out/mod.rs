//! What a store costs that takes a page from several others at once.
//!
//! All nodes are up all the time; the first ones share. Half of the pages are at home on node a,
//! which writes, the other half on b.

mod count;
mod echo;

use std::sync::Arc;
use std::time::Duration;

use comfy_table::Table;
use giantvm_core::{NodeId, PageIndex, PageRange, Stamp};
use giantvm_dsm::protocol::HomeMap;
use giantvm_transport::Transport as _;
use serde::Serialize;

use self::count::Counts;
use self::echo::Echoes;
use giantvm_examples::spread::Spread;

use crate::bars::Verdict;
use crate::cli::Cli;
use crate::far::{self, Answer, Duty, FarSide, Order};
use crate::floor::{self, Fault};
use crate::pair::{Cluster, Node, Pump};
use crate::protocol::ProtocolKind;
use crate::sample::Times;
use crate::table::table;
use crate::tap::Tapped;
use crate::workload::{Touch, Walk};

/// How many others share.
const SHARERS: [u8; 5] = [1, 2, 3, 7, 15];
/// Pages in a round at most: each is fetched by every sharer.
const MOST_PAGES: u64 = 50;
/// Pages of which hops are counted.
const COUNTED: u64 = 3;
/// How long messages that no one waits for are waited for.
const TRAILING: Duration = Duration::from_millis(2);
/// More hops than any page takes.
const APART: u64 = 1000;

/// Who knows the sharers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Home {
    Writer,
    Sharer,
}

/// A store to pages that so many others share.
#[derive(Debug, Serialize)]
pub(crate) struct FanOut {
    home: Home,
    pub(crate) sharers: u8,
    /// Messages that follow one another before the store is done.
    hops: Option<u64>,
    /// Messages that one store causes, those after it included.
    messages: f64,
    pub(crate) p50_us: f64,
    p99_us: f64,
    pub(crate) floor_p50_us: f64,
    floor_p99_us: f64,
    /// Of a round's median to the floor of the same round.
    ratio: Spread,
    /// Of the median to that with one sharer.
    growth: f64,
    floor_growth: f64,
    verdict: Verdict,
}

impl FanOut {
    /// Whether the writer is itself home to the pages.
    pub(crate) fn is_direct(&self) -> bool {
        self.home == Home::Writer
    }
}

/// What all rounds found for one row.
#[derive(Debug)]
struct Kind {
    home: Home,
    sharers: u8,
    hops: Option<u64>,
    messages: Vec<f64>,
    stores: Vec<Times>,
    floors: Vec<Times>,
}

/// Node a and the others.
#[derive(Debug)]
struct Bench {
    node: Node,
    transport: Arc<Tapped<Counts>>,
    fars: Vec<FarSide>,
    pages: u64,
}

/// Whether so many others can be up: pumps that look on whatever else there is to do need a processor
/// each.
fn fits(cli: &Cli, cpus: &[usize], sharers: u8) -> bool {
    sharers == SHARERS[0] || cli.pump != Pump::Latency || usize::from(sharers) < cpus.len()
}

fn pages(cli: &Cli) -> u64 {
    cli.pages.min(MOST_PAGES)
}

fn homes(pages: u64) -> anyhow::Result<HomeMap> {
    let (start, end) = (PageIndex(pages), PageIndex(2 * pages));
    let [a, b] = [NodeId::ZERO, NodeId::new(1)?];
    Ok(HomeMap::new([
        (PageRange::first(pages), a),
        (PageRange { start, end }, b),
    ])?)
}

/// What another node does.
pub(crate) fn share(
    number: usize,
    cluster: &Cluster,
    echoes: &Cluster,
    cli: &Cli,
) -> anyhow::Result<()> {
    let transport = cluster.join(number, cli.transport)?;
    let transport = Arc::new(Tapped::new(transport, Counts::default()));
    let (homes, options) = (homes(pages(cli))?, cli.pump.options());
    let node = Node::start(number, transport.clone(), homes, cli, options)?;
    let echo = echoes.join(number, cli.transport)?;
    std::thread::scope(|scope| {
        let echo = scope.spawn(|| echo::answer(&*echo));
        far::obey(|order| match order {
            Order::Level(at) => {
                transport.clock().advance(Stamp(at));
                Ok(Answer::Done)
            }
            Order::Sent => Ok(Answer::Sent(transport.tap.messages())),
            order => node.obey(order),
        })?;
        node.finish()?;
        echo.join().expect("it does not panic")
    })
}

/// What node a does.
pub(crate) fn run(cli: &Cli, cpus: &[usize]) -> anyhow::Result<Vec<FanOut>> {
    let sharers: Vec<_> = SHARERS
        .into_iter()
        .filter(|&k| fits(cli, cpus, k))
        .collect();
    let nodes = usize::from(sharers.iter().copied().max().unwrap_or(1)) + 1;
    let (cluster, echoes) = (Cluster::choose(nodes, cpus)?, Cluster::choose(nodes, cpus)?);
    let duty = Duty::Share {
        echoes: echoes.clone(),
    };
    let fars = (1..nodes).map(|number| FarSide::spawn(number, &cluster, &duty));
    let fars = fars.collect::<anyhow::Result<Vec<_>>>()?;
    let transport = cluster.join(0, cli.transport)?;
    let transport = Arc::new(Tapped::new(transport, Counts::default()));
    let (pages, options) = (pages(cli), cli.pump.options());
    let node = Node::start(0, transport.clone(), homes(pages)?, cli, options)?;
    let mut bench = Bench {
        node,
        transport,
        fars,
        pages,
    };
    let echoes = Echoes::new(echoes.join(0, cli.transport)?);
    let kinds = std::thread::scope(|scope| {
        scope.spawn(|| echoes.live());
        let kinds = bench.kinds(cli, &sharers, &echoes);
        echoes.end();
        kinds
    })?;
    FarSide::part(bench.fars, bench.node)?;
    let rows = kinds.iter().map(|kind| {
        let mut alike = kinds.iter().filter(|other| other.home == kind.home);
        kind.row(alike.next().unwrap_or(kind))
    });
    Ok(rows.collect())
}

impl Bench {
    const fn walk(&self, home: Home) -> Walk {
        Walk::scattered(self.pages, self.pages).from(match home {
            Home::Writer => 0,
            Home::Sharer => self.pages,
        })
    }

    /// All rows, in all rounds.
    fn kinds(&mut self, cli: &Cli, sharers: &[u8], echoes: &Echoes) -> anyhow::Result<Vec<Kind>> {
        let mut kinds = Vec::new();
        for home in [Home::Writer, Home::Sharer] {
            for &sharers in sharers {
                let clocked = cli.protocol != ProtocolKind::Lease;
                kinds.push(Kind {
                    home,
                    sharers,
                    hops: clocked.then(|| self.hops(home, sharers)).transpose()?,
                    messages: Vec::new(),
                    stores: Vec::new(),
                    floors: Vec::new(),
                });
            }
        }
        for _ in 0..cli.rounds {
            let fault = floor::faults(self.pages, Fault::Protected)?;
            for kind in &mut kinds {
                let trips = echoes.trips(kind.sharers, self.pages)?;
                kind.floors.push(fault.plus(&trips));
                let (stores, messages) = self.stores(kind.home, kind.sharers)?;
                kind.stores.push(stores);
                kind.messages.push(messages);
            }
        }
        Ok(kinds)
    }

    /// Makes node a and so many others hold copies.
    fn spread(&mut self, walk: Walk, sharers: u8) -> anyhow::Result<()> {
        self.node.touch(walk, Touch::Store)?;
        for far in &mut self.fars[..sharers.into()] {
            far.ask(Order::Share(walk))?;
        }
        Ok(())
    }

    /// Messages sent by all nodes so far.
    fn sent(&mut self) -> anyhow::Result<u64> {
        std::thread::sleep(TRAILING);
        let mut sent = self.transport.tap.messages();
        for far in &mut self.fars {
            if let Answer::Sent(messages) = far.ask(Order::Sent)? {
                sent += messages;
            }
        }
        Ok(sent)
    }

    /// Times stores, and counts what each of them sends.
    fn stores(&mut self, home: Home, sharers: u8) -> anyhow::Result<(Times, f64)> {
        let walk = self.walk(home);
        self.spread(walk, sharers)?;
        let before = self.sent()?;
        let times = self.node.touch(walk, Touch::Store)?;
        let messages = self.sent()? - before;
        Ok((times, messages as f64 / walk.count as f64))
    }

    /// How many messages follow one another before a store is done, at most.
    fn hops(&mut self, home: Home, sharers: u8) -> anyhow::Result<u64> {
        let (walk, mut most) = (self.walk(home), 0);
        for page in 0..COUNTED.min(self.pages) {
            let page = walk.only(page);
            self.spread(page, sharers)?;
            std::thread::sleep(TRAILING);
            let clock = self.transport.clock();
            let level = clock.now().0 + APART;
            clock.advance(Stamp(level));
            for far in &mut self.fars {
                far.ask(Order::Level(level))?;
            }
            self.node.touch(page, Touch::Store)?;
            most = most.max(self.transport.clock().now().0 - level);
        }
        Ok(most)
    }
}

impl Kind {
    fn row(&self, one: &Self) -> FanOut {
        let median = |times: &[Times]| times.iter().map(Times::median).collect::<Spread>().median;
        let tail = |times: &[Times]| {
            let tails = times.iter().map(|times| times.percentile(99));
            tails.collect::<Spread>().median
        };
        let ratios = self.stores.iter().zip(&self.floors);
        // The writer asks, and all answer; a home that it asks first is one message more.
        let few = match self.home {
            Home::Writer => 2,
            Home::Sharer => 3,
        };
        FanOut {
            home: self.home,
            sharers: self.sharers,
            hops: self.hops,
            messages: self.messages.iter().copied().collect::<Spread>().median,
            p50_us: median(&self.stores),
            p99_us: tail(&self.stores),
            floor_p50_us: median(&self.floors),
            floor_p99_us: tail(&self.floors),
            ratio: ratios
                .map(|(store, floor)| store.median() / floor.median())
                .collect(),
            growth: median(&self.stores) / median(&one.stores),
            floor_growth: median(&self.floors) / median(&one.floors),
            verdict: self
                .hops
                .map_or(Verdict::None, |hops| Verdict::of(hops <= few)),
        }
    }
}

/// The rows for people.
pub(crate) fn show(rows: &[FanOut]) -> Table {
    let mut table = table([
        "fan-out",
        "home",
        "sharers",
        "hops",
        "messages",
        "p50 us",
        "p99 us",
        "floor p50",
        "p99",
        "ratio",
        "growth",
        "of floor",
        "bar",
    ]);
    for row in rows {
        table.add_row([
            "store".to_owned(),
            format!("{:?}", row.home).to_lowercase(),
            row.sharers.to_string(),
            row.hops.map_or_else(String::new, |hops| hops.to_string()),
            format!("{:.1}", row.messages),
            format!("{:.1}", row.p50_us),
            format!("{:.1}", row.p99_us),
            format!("{:.1}", row.floor_p50_us),
            format!("{:.1}", row.floor_p99_us),
            format!("{:.2}", row.ratio.median),
            format!("{:.2}", row.growth),
            format!("{:.2}", row.floor_growth),
            row.verdict.name().to_owned(),
        ]);
    }
    table
}
