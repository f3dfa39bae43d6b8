//! What it costs to take scattered pages from a process while another of its threads runs: each
//! call to the system interrupts that thread's processor, and waits for it.

mod raw;

use std::hint::spin_loop;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context;
use comfy_table::Table;
use giantvm_core::{PageIndex, PageSize};
use giantvm_dsm::backing::{self, Backing, Choice};
use giantvm_dsm::protocol::{FrameFate, Rights};
use giantvm_dsm::uffd::Support;
use giantvm_examples::spread::Spread;
use serde::Serialize;

use crate::bars::Verdict;
use crate::cli::Cli;
use crate::far::{Duty, FarSide, Order};
use crate::pair::{Cluster, Knobs};
use crate::place;
use crate::protocol::ProtocolKind;
use crate::sample::Times;
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

/// Kinds of memory, as backings have them, and how many pages between those that are taken are in use
/// and stay. The first is what all are compared with.
const MEMORIES: [(&str, Choice, u64); 3] = [
    ("anonymous", Choice::Missing, 0),
    ("memory file", Choice::Minor, 0),
    ("file, 64 stay", Choice::Minor, PAGES),
];
/// Ways to take the pages.
const WAYS: [&str; 3] = ["one bare call", "unmap_all", "64 bare calls"];

/// One way to take the pages.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    way: &'static str,
    memory: &'static str,
    p50_us: f64,
    p99_us: f64,
    /// Of a round's median to that of one bare call on anonymous memory.
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
    let (done, beats) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if let [_, other, ..] = cpus {
                // Where it may not run there, it runs elsewhere.
                place::confine(*other).ok();
            }
            while !done.load(Ordering::Relaxed) {
                beats.fetch_add(1, Ordering::Relaxed);
            }
        });
        let count = cli.pages.min(300);
        let measured = (0..cli.rounds).try_for_each(|_| {
            let (mut memories, mut times) = (memories()?, Vec::new());
            for memory in &mut memories {
                times.push(memory.round(count, &beats)?);
            }
            rounds.push(times);
            anyhow::Ok(())
        });
        done.store(true, Ordering::Relaxed);
        measured
    })?;
    let kinds = MEMORIES.iter().take(rounds.first().map_or(0, Vec::len));
    let ways = kinds.enumerate().flat_map(|(kind, (memory, ..))| {
        let rounds = &rounds;
        WAYS.into_iter().enumerate().map(move |(at, way)| {
            let of = |figure: fn(&Times) -> f64| {
                let rounds = rounds.iter().map(|round| figure(&round[kind][at]));
                rounds.collect::<Spread>().median
            };
            let ratios = rounds
                .iter()
                .map(|round| round[kind][at].median() / round[0][0].median());
            let ratio = ratios.collect::<Spread>();
            Row {
                way,
                memory,
                p50_us: of(Times::median),
                p99_us: of(|times| times.percentile(99)),
                ratio,
                verdict: if at == 1 {
                    Verdict::of(ratio.median <= TWICE)
                } else {
                    Verdict::None
                },
            }
        })
    });
    let ways = ways.collect();
    Ok(Scatter {
        pages: PAGES,
        ways,
        walked: match cli.protocol {
            ProtocolKind::Directory => Some(walked(cli, cpus)?),
            ProtocolKind::Ivy | ProtocolKind::Lease => None,
        },
    })
}

/// The memories that this host can have.
fn memories() -> anyhow::Result<Vec<Memory>> {
    let support = Support::probe();
    let can = |choice| choice != Choice::Minor || support.minor();
    let kinds = MEMORIES.into_iter().filter(|&(_, choice, _)| can(choice));
    kinds
        .map(|(_, choice, stay)| Memory::open(choice, stay))
        .collect()
}

/// Memory whose pages are taken.
#[derive(Debug)]
struct Memory {
    backing: Box<dyn Backing>,
    pages: Vec<PageIndex>,
    this: OwnedFd,
    vector: Vec<libc::iovec>,
}

impl Memory {
    fn open(choice: Choice, stay: u64) -> anyhow::Result<Self> {
        let (mut backing, mapping) = backing::open(PAGES * APART, PageSize::K4, choice)?;
        let pages: Vec<_> = (0..PAGES).map(|page| PageIndex(page * APART)).collect();
        for page in 0..stay {
            backing.map_zero(PageIndex(page * APART + APART / 2), Rights::Write)?;
        }
        Ok(Self {
            this: raw::this()?,
            vector: raw::vector(&mapping, &pages),
            backing,
            pages,
        })
    }

    /// Takes the pages in each way by turns.
    fn round(&mut self, count: u64, beats: &AtomicU64) -> anyhow::Result<[Times; WAYS.len()]> {
        let mut times = WAYS.map(|_| Times::default());
        for _ in 0..count {
            for (way, times) in times.iter_mut().enumerate() {
                for &page in &self.pages {
                    self.backing.map_zero(page, Rights::Write)?;
                }
                // Where others want the processors, too, the thread may just not be running.
                let seen = beats.load(Ordering::Relaxed);
                while beats.load(Ordering::Relaxed) == seen {
                    spin_loop();
                }
                let fate = FrameFate::Drop;
                match way {
                    0 => times.time(|| raw::at_once(&self.this, &self.vector))?,
                    1 => times.time(|| self.backing.unmap_all(&self.pages, fate))?,
                    _ => times.time(|| raw::one_by_one(&self.vector))?,
                }
                if way != 1 {
                    // The backing has to know, too.
                    self.backing.unmap_all(&self.pages, fate)?;
                }
            }
        }
        Ok(times)
    }
}

/// Another node takes pages of this one.
fn walked(cli: &Cli, cpus: &[usize]) -> anyhow::Result<Walked> {
    let cluster = Cluster::choose(2, cpus)?;
    let duty = Duty::Plain(Knobs::of(cli.pump));
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
                row.memory.to_owned(),
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
                "as its node has".to_owned(),
                pages.to_string(),
                format!("{sweeps} sweeps, of {most} at most"),
            ]);
        }
        table
    }
}
