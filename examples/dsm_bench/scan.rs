//! Everything that another node wrote, touched in order, beside a bare stream.

use std::net::{Ipv4Addr, TcpListener};

use comfy_table::Table;
use giantvm_examples::spread::Spread;
use serde::Serialize;

use crate::bars::{READ_SCAN, Verdict, WRITE_SCAN};
use crate::cli::Cli;
use crate::far::{Duty, FarSide};
use crate::faults::round::Bench;
use crate::floor::{Memory, Raw};
use crate::pair::{Cluster, Node, Over, port};
use crate::table::table;
use crate::workload::Touch;

/// Scans of one kind.
#[derive(Debug, Serialize)]
pub(crate) struct Scan {
    touch: &'static str,
    /// Mebibytes a second.
    rate: Spread,
    /// Of a bare stream.
    stream: Spread,
    /// Of a round's scan to the stream of the same round.
    ratio: Spread,
    verdict: Verdict,
    /// Of the same walk over bare rings, without nodes; none over TCP.
    bare: Option<Spread>,
    /// Of a round's bare walk to the stream of the same round: what a node could reach at best.
    bare_ratio: Option<Spread>,
}

/// One round of one kind, in mebibytes a second.
#[derive(Debug, Clone, Copy)]
struct Round {
    rate: f64,
    stream: f64,
    bare: Option<f64>,
}

const KINDS: [(&str, Touch, f64); 2] = [
    ("load", Touch::Load, READ_SCAN),
    ("store", Touch::Store, WRITE_SCAN),
];

pub(crate) fn run(cli: &Cli, cpus: &[usize]) -> anyhow::Result<Vec<Scan>> {
    let (memory, listener) = (Memory::new()?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    let cluster = Cluster::choose(2, cpus)?;
    let (raw, ring) = (port(&listener)?, memory.path());
    let mut fars = vec![FarSide::spawn(1, &cluster, &Duty::Faults { raw, ring })?];
    let mut raw = Raw::accept(&listener, &memory, &mut fars[0])?;
    let node = Node::join(0, &cluster, cli, cli.pump.options())?;
    let mut found = KINDS.map(|_| Vec::new());
    for _ in 0..cli.rounds {
        for ((_, touch, _), found) in KINDS.into_iter().zip(&mut found) {
            // One before and one after, as what disturbs one end disturbs both.
            let before = raw.stream(cli.transport, cli.scan << 20)?;
            let (node, fars) = (&node, &mut fars[..]);
            let rate = Bench { node, fars, cli }.scan(touch)?;
            let after = raw.stream(cli.transport, cli.scan << 20)?;
            let bare = match cli.transport {
                Over::Shm => Some(raw.walk(cli.scan_pages(), touch)?),
                // It is over rings only.
                Over::Tcp => None,
            };
            found.push(Round {
                rate,
                stream: before.midpoint(after),
                bare,
            });
        }
    }
    raw.end()?;
    FarSide::part(fars, node)?;
    let rows = KINDS.into_iter().zip(found);
    let rows = rows.map(|((touch, _, bar), rounds)| {
        let each = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Spread>();
        let bare = |figure: fn(&Round, f64) -> f64| {
            let figures = rounds
                .iter()
                .filter_map(|round| Some(figure(round, round.bare?)));
            let figures: Vec<_> = figures.collect();
            (!figures.is_empty()).then(|| figures.into_iter().collect::<Spread>())
        };
        let ratio = each(|round| round.rate / round.stream);
        Scan {
            touch,
            rate: each(|round| round.rate),
            stream: each(|round| round.stream),
            ratio,
            verdict: Verdict::of(ratio.median >= bar),
            bare: bare(|_, bare| bare),
            bare_ratio: bare(|round, bare| bare / round.stream),
        }
    });
    Ok(rows.collect())
}

/// The rows for people.
pub(crate) fn show(rows: &[Scan]) -> Table {
    let mut table = table([
        "scan",
        "unit",
        "value",
        "low..high",
        "stream",
        "low..high",
        "ratio",
        "low..high",
        "bar",
        "bare walk",
        "ratio",
    ]);
    for row in rows {
        let wide = |spread: &Spread| format!("{:.0}..{:.0}", spread.low, spread.high);
        table.add_row([
            row.touch.to_owned(),
            "MiB/s".to_owned(),
            format!("{:.0}", row.rate.median),
            wide(&row.rate),
            format!("{:.0}", row.stream.median),
            wide(&row.stream),
            format!("{:.3}", row.ratio.median),
            format!("{:.3}..{:.3}", row.ratio.low, row.ratio.high),
            row.verdict.name().to_owned(),
            row.bare
                .as_ref()
                .map_or(String::new(), |bare| format!("{:.0}", bare.median)),
            row.bare_ratio
                .as_ref()
                .map_or(String::new(), |ratio| format!("{:.3}", ratio.median)),
        ]);
    }
    table
}
