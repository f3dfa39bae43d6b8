//! What it costs to take scattered pages from a process while another of its threads runs: each
//! call to the system interrupts that thread's processor, and waits for it.

mod raw;

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use comfy_table::Table;
use giantvm_core::{PageIndex, PageSize};
use giantvm_dsm::backing::{self, Choice};
use giantvm_dsm::protocol::{FrameFate, Rights};
use serde::Serialize;

use crate::bars::Verdict;
use crate::cli::Cli;
use crate::far::{Duty, FarSide, Order};
use crate::pair::Cluster;
use crate::place;
use crate::protocol::ProtocolKind;
use crate::sample::{Spread, Times};
use crate::steps::{Noted, What};
use crate::table::table;
use crate::workload::{Pattern, Touch, Walk};

/// Pages that are taken together.
const PAGES: u64 = 64;
/// How far they are apart.
const APART: u64 = 7;
/// Of the time of one call.
const TWICE: f64 = 2.0;
/// Pages that another node takes.
const WALKED: u64 = 512;

/// One way to take the pages.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    way: &'static str,
    p50_us: f64,
    p99_us: f64,
    /// Of a round's median to that of one bare call.
    ratio: Spread,
    verdict: Verdict,
}

/// What another node's stores to every third page made of it.
#[derive(Debug, Serialize)]
pub(crate) struct Walked {
    pages: u64,
    /// How often this node took pages away.
    sweeps: u64,
    /// Of the largest sweep.
    most: u64,
}

/// Everything about scattered pages.
#[derive(Debug, Serialize)]
pub(crate) struct Scatter {
    pages: u64,
    ways: Vec<Row>,
    /// With the default protocol only.
    #[serde(skip_serializing_if = "Option::is_none")]
    walked: Option<Walked>,
}

pub(crate) fn run(cli: &Cli, cpus: &[usize]) -> anyhow::Result<Scatter> {
    let mut rounds = Vec::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if let [_, other, ..] = cpus {
                // Where it may not run there, it runs elsewhere.
                place::confine(*other).ok();
            }
            while !done.load(Ordering::Relaxed) {
                spin_loop();
            }
        });
        let measured = (0..cli.rounds).try_for_each(|_| {
            rounds.push(round(cli.pages.min(300))?);
            anyhow::Ok(())
        });
        done.store(true, Ordering::Relaxed);
        measured
    })?;
    let ways = ["one bare call", "unmap_all", "64 bare calls"];
    let ways = ways.into_iter().enumerate().map(|(at, way)| {
        let of = |figure: fn(&Times) -> f64| {
            let rounds = rounds.iter().map(|round: &[Times; 3]| figure(&round[at]));
            rounds.collect::<Spread>().median
        };
        let ratios = rounds
            .iter()
            .map(|round| round[at].median() / round[0].median());
        let ratio = ratios.collect::<Spread>();
        Row {
            way,
            p50_us: of(Times::median),
            p99_us: of(|times| times.percentile(99)),
            ratio,
            verdict: if at == 1 {
                Verdict::of(ratio.median <= TWICE)
            } else {
                Verdict::None
            },
        }
    });
    Ok(Scatter {
        pages: PAGES,
        ways: ways.collect(),
        walked: match cli.protocol {
            ProtocolKind::Directory => Some(walked(cli, cpus)?),
            ProtocolKind::Ivy | ProtocolKind::Lease => None,
        },
    })
}

/// Takes the pages by one bare call, by the backing, and by a bare call each, by turns.
fn round(count: u64) -> anyhow::Result<[Times; 3]> {
    let (mut backing, mapping) = backing::open(PAGES * APART, PageSize::K4, Choice::Auto)?;
    let pages: Vec<_> = (0..PAGES).map(|page| PageIndex(page * APART)).collect();
    let (this, vector) = (raw::this()?, raw::vector(&mapping, &pages));
    let mut times = [(); 3].map(|()| Times::default());
    for _ in 0..count {
        for (way, times) in times.iter_mut().enumerate() {
            for &page in &pages {
                backing.map_zero(page, Rights::Write)?;
            }
            match way {
                0 => times.time(|| raw::at_once(&this, &vector))?,
                1 => times.time(|| backing.unmap_all(&pages, FrameFate::Drop))?,
                _ => times.time(|| raw::one_by_one(&vector))?,
            }
            if way != 1 {
                // The backing has to know, too.
                backing.unmap_all(&pages, FrameFate::Drop)?;
            }
        }
    }
    Ok(times)
}

/// Another node takes pages of this one.
fn walked(cli: &Cli, cpus: &[usize]) -> anyhow::Result<Walked> {
    let cluster = Cluster::choose(2, cpus)?;
    let options = cli.pump.options();
    let (pump, read_ahead) = (cli.pump, options.read_ahead);
    let duty = Duty::Plain { pump, read_ahead };
    let mut fars = vec![FarSide::spawn(1, &cluster, &duty)?];
    let Noted { node, notes } = Noted::join(0, &cluster, cli)?;
    let pages = WALKED.min(cli.data_pages() / 3).max(1);
    let walk = Walk::new(pages, cli.data_pages(), Pattern::Every(3));
    node.touch(walk, Touch::Store)?;
    notes.take();
    fars[0].ask(Order::Own(walk))?;
    let sweeps = notes.take().into_iter().filter_map(|note| match note.what {
        What::Unmap(pages) => Some(u64::from(pages)),
        _ => None,
    });
    let sweeps: Vec<_> = sweeps.collect();
    FarSide::part(fars, node)?;
    Ok(Walked {
        pages,
        sweeps: sweeps.len() as u64,
        most: sweeps.into_iter().max().context("no page was taken")?,
    })
}

impl Scatter {
    /// The rows for people.
    pub(crate) fn show(&self) -> Table {
        let mut table = table([
            "scatter",
            "pages",
            "p50 us",
            "p99 us",
            "ratio",
            "low..high",
            "bar",
        ]);
        for row in &self.ways {
            table.add_row([
                row.way.to_owned(),
                self.pages.to_string(),
                format!("{:.1}", row.p50_us),
                format!("{:.1}", row.p99_us),
                format!("{:.2}", row.ratio.median),
                format!("{:.2}..{:.2}", row.ratio.low, row.ratio.high),
                row.verdict.name().to_owned(),
            ]);
        }
        if let Some(Walked {
            pages,
            sweeps,
            most,
        }) = &self.walked
        {
            table.add_row([
                "another node's walk".to_owned(),
                pages.to_string(),
                format!("{sweeps} sweeps, of {most} at most"),
            ]);
        }
        table
    }
}
