//! What reading ahead buys where there is a pattern, and costs where there is none.
//!
//! Two pairs of nodes, of which one reads ahead, fetch the same pages by turns.

use comfy_table::Table;
use giantvm_examples::spread::Spread;
use serde::Serialize;

use crate::bars::Verdict;
use crate::cli::Cli;
use crate::far::{Duty, FarSide, Order};
use crate::pair::{Cluster, Knobs, Node};
use crate::sample::Times;
use crate::table::table;
use crate::workload::{Pattern, Touch, Walk};

/// How much longer pages in no order may take with read-ahead.
const NO_SLOWER: f64 = 1.05;

/// Pages in a turn of one pair.
const TURN: usize = 50;

/// Pages in one order.
#[derive(Debug, Serialize)]
pub(crate) struct Ahead {
    order: &'static str,
    /// Pages a second.
    on: Spread,
    off: Spread,
    /// Of a round's time with read-ahead to that without.
    ratio: Spread,
    verdict: Verdict,
}

/// Nodes of one kind.
#[derive(Debug)]
struct Pair {
    node: Node,
    fars: Vec<FarSide>,
}

/// Some pages of the memory in one order, or all that there are.
#[derive(Debug, Clone, Copy)]
struct Kind {
    order: &'static str,
    pattern: Pattern,
    all: bool,
}

impl Kind {
    const fn some(order: &'static str, pattern: Pattern) -> Self {
        Self {
            order,
            pattern,
            all: false,
        }
    }

    /// Whether there is nothing to ask for ahead.
    fn is_random(self) -> bool {
        self.pattern == Pattern::Scattered && !self.all
    }
}

const KINDS: [Kind; 5] = [
    Kind::some("random", Pattern::Scattered),
    Kind {
        order: "random, all",
        pattern: Pattern::Scattered,
        all: true,
    },
    Kind::some("forward", Pattern::Forward),
    Kind::some("backward", Pattern::Backward),
    Kind::some("every third", Pattern::Every(3)),
];

pub(crate) fn run(cli: &Cli, cpus: &[usize]) -> anyhow::Result<Vec<Ahead>> {
    let mut pairs = [Pair::new(cli, cpus, true)?, Pair::new(cli, cpus, false)?];
    let mut found = KINDS.map(|kind| (kind, [(); 2].map(|()| Vec::new())));
    for round in 0..cli.rounds {
        for (kind, times) in &mut found {
            let of = if kind.all {
                cli.pages
            } else {
                cli.data_pages()
            };
            let walk = Walk::new(cli.pages, of, kind.pattern);
            for pair in &mut pairs {
                pair.fars[0].ask(Order::Own(walk))?;
            }
            // What comes ahead comes while the other pair has its turn: turns are short only where
            // nothing should.
            let turn = if kind.is_random() { TURN } else { usize::MAX };
            let mut took = [(); 2].map(|()| Times::default());
            for (turn, pages) in (round..).zip(walk.addresses().chunks(turn)) {
                // Who goes first goes second the next time.
                let first = usize::from(turn % 2 == 1);
                for at in [first, 1 - first] {
                    let more = pairs[at].node.touch_each(pages, Touch::Load)?;
                    took[at].append(more);
                }
            }
            for (times, took) in times.iter_mut().zip(took) {
                times.push(took);
            }
        }
    }
    for Pair { node, fars } in pairs {
        FarSide::part(fars, node)?;
    }
    let rows = found.map(|(kind, [on, off])| {
        let each = on.iter().zip(&off);
        // Where there is a pattern, the few that are slow bring the others.
        let usual = |times: &Times| match kind.is_random() {
            true => times.without_slowest(),
            false => times.clone(),
        };
        let ratio = each.map(|(on, off)| usual(on).total() / usual(off).total());
        let ratio = ratio.collect::<Spread>();
        let rate = |times: &[Times]| -> Spread {
            let rates = times
                .iter()
                .map(|times| times.count() as f64 / times.total());
            rates.collect()
        };
        Ahead {
            order: kind.order,
            on: rate(&on),
            off: rate(&off),
            ratio,
            verdict: match kind.is_random() {
                true => Verdict::of(ratio.median <= NO_SLOWER),
                false => Verdict::None,
            },
        }
    });
    Ok(rows.into())
}

impl Pair {
    fn new(cli: &Cli, cpus: &[usize], read_ahead: bool) -> anyhow::Result<Self> {
        let cluster = Cluster::choose(2, cpus)?;
        let mut knobs = Knobs::of(cli.pump);
        knobs.read_ahead = read_ahead;
        let fars = vec![FarSide::spawn(1, &cluster, &Duty::Plain(knobs))?];
        let node = knobs.join(0, &cluster, cli)?;
        Ok(Self { node, fars })
    }
}

/// The rows for people.
pub(crate) fn show(rows: &[Ahead]) -> Table {
    let mut table = table([
        "read-ahead",
        "pages",
        "pages/s on",
        "off",
        "time on/off",
        "low..high",
        "bar",
    ]);
    for row in rows {
        table.add_row([
            "load".to_owned(),
            row.order.to_owned(),
            format!("{:.0}", row.on.median),
            format!("{:.0}", row.off.median),
            format!("{:.3}", row.ratio.median),
            format!("{:.3}..{:.3}", row.ratio.low, row.ratio.high),
            row.verdict.name().to_owned(),
        ]);
    }
    table
}
