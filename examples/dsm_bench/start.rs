//! What a node with much memory costs before it does anything, and for each page in use.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use comfy_table::Table;
use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, GuestAddress, NodeId, PageSize};
use giantvm_dsm::engine::BYTES_PER_PAGE;
use giantvm_dsm::protocol::HomeMap;
use giantvm_examples::spread::Spread;
use giantvm_transport::{Transport, inproc};
use serde::Serialize;
use vm_memory::Bytes as _;

use crate::bars::Verdict;
use crate::cli::Cli;
use crate::pair::Node;
use crate::table::table;

/// 64 GiB.
const PAGES: u64 = 64 << (30 - 12);
/// What a start may take at most.
const SOON: Duration = Duration::from_millis(200);
/// Bytes that each page may take at the start, in use or not.
const SPARE: f64 = 8.0;

/// Starting nodes of one process.
#[derive(Debug, Serialize)]
pub(crate) struct Start {
    nodes: usize,
    gib: u64,
    /// Of the slowest node, in milliseconds.
    ms: Spread,
    /// Private memory and the system's page tables that came with each node, by page of its memory.
    bytes_per_page: Spread,
    /// Private memory that came with each page in use, beside the page itself.
    bytes_per_used_page: Spread,
    /// The system's page tables that came with it: the page is mapped twice.
    tables_per_used_page: Spread,
    /// What the tables of a page take by their types, with the default protocol.
    bytes_by_type: usize,
    pages_used: u64,
    verdict: Verdict,
}

/// Bytes of private memory of this process, and of its page tables.
#[derive(Debug, Clone, Copy)]
struct Memory {
    private: u64,
    tables: u64,
}

impl Memory {
    fn now() -> anyhow::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let figure = line.and_then(|line| line.split_whitespace().next());
            figure.and_then(|figure| figure.parse::<u64>().ok())
        };
        let bytes = |name| {
            kib(name)
                .map(|kib| kib << 10)
                .context("no figures of memory")
        };
        Ok(Self {
            private: bytes("RssAnon:")?,
            tables: bytes("VmPTE:")?,
        })
    }

    /// What came since `before`.
    const fn since(self, before: Self) -> Self {
        Self {
            private: self.private.saturating_sub(before.private),
            tables: self.tables.saturating_sub(before.tables),
        }
    }
}

/// What one start found.
#[derive(Debug)]
struct Once {
    ms: f64,
    idle: f64,
    used: f64,
    tables: f64,
}

pub(crate) fn run(cli: &Cli) -> anyhow::Result<Vec<Start>> {
    let rows = [1, 2].map(|nodes| {
        let rounds = (0..cli.rounds).map(|_| once(cli, nodes));
        let rounds = rounds.collect::<anyhow::Result<Vec<_>>>()?;
        let of = |figure: fn(&Once) -> f64| rounds.iter().map(figure).collect::<Spread>();
        let (ms, bytes) = (of(|once| once.ms), of(|once| once.idle));
        let soon = ms.median < SOON.as_secs_f64() * 1e3;
        Ok(Start {
            nodes,
            gib: PAGES >> (30 - 12),
            ms,
            bytes_per_page: bytes,
            bytes_per_used_page: of(|once| once.used),
            tables_per_used_page: of(|once| once.tables),
            bytes_by_type: BYTES_PER_PAGE,
            pages_used: used(cli),
            verdict: Verdict::of(soon && bytes.median <= SPARE),
        })
    });
    rows.into_iter().collect()
}

/// Enough pages that what else comes and goes does not show.
const fn used(cli: &Cli) -> u64 {
    cli.pages * 16
}

fn once(cli: &Cli, nodes: usize) -> anyhow::Result<Once> {
    let limits = Limits::for_pages(PageSize::K4);
    let transports = inproc::cluster(nodes, Epoch::FIRST, limits)?;
    let homes = HomeMap::even(PAGES, NodeId::first(nodes));
    let (mut ms, mut started, before) = (0.0_f64, Vec::new(), Memory::now()?);
    for (number, transport) in transports.into_iter().enumerate() {
        let (transport, homes): (Arc<dyn Transport>, _) = (transport, homes.clone());
        let start = Instant::now();
        started.push(Node::start(
            number,
            transport,
            homes,
            cli,
            cli.pump.options(),
        )?);
        ms = ms.max(start.elapsed().as_secs_f64() * 1e3);
    }
    let idle = Memory::now()?;
    // Those that are at home on the first node, which keeps the most for them. Nothing else takes
    // memory meanwhile.
    for page in 0..used(cli) {
        let at = GuestAddress(page * PageSize::K4.bytes() as u64);
        started[0].memory.store(1_u64, at, Ordering::Relaxed)?;
    }
    let full = Memory::now()?;
    std::thread::scope(|scope| {
        let ends = started
            .into_iter()
            .map(|node| scope.spawn(|| node.finish()));
        let ends: Vec<_> = ends.collect();
        let mut ends = ends.into_iter().map(|end| end.join());
        ends.try_for_each(|end| end.expect("it does not panic"))
    })?;
    let (started, used) = (idle.since(before), used(cli) as f64);
    Ok(Once {
        ms,
        idle: (started.private + started.tables) as f64 / (PAGES * nodes as u64) as f64,
        used: full.since(idle).private as f64 / used,
        tables: full.since(idle).tables as f64 / used,
    })
}

/// The rows for people.
pub(crate) fn show(rows: &[Start]) -> Table {
    let mut table = table([
        "start",
        "nodes",
        "ms",
        "low..high",
        "B a page",
        "B a page in use",
        "by type",
        "and page tables",
        "bar",
    ]);
    for row in rows {
        table.add_row([
            format!("{} GiB", row.gib),
            row.nodes.to_string(),
            format!("{:.1}", row.ms.median),
            format!("{:.1}..{:.1}", row.ms.low, row.ms.high),
            format!("{:.4}", row.bytes_per_page.median),
            format!("{:.1}", row.bytes_per_used_page.median),
            row.bytes_by_type.to_string(),
            format!("{:.1}", row.tables_per_used_page.median),
            row.verdict.name().to_owned(),
        ]);
    }
    table
}
