//! The figures, for people and for machines.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::floor::Floors;
use crate::protocol::ProtocolKind;
use crate::sample::{Spread, Times};
use crate::workload::Round;

const TRANSPORT: &str = "tcp";
/// Whoever waits for a fault or a frame blocks in the kernel; in the floors too.
const MODE: &str = "blocking";

/// One kind of fault beside its floor. All figures are medians over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    name: &'static str,
    transport: &'static str,
    mode: &'static str,
    p50_us: f64,
    p99_us: f64,
    floor_p50_us: f64,
    floor_p99_us: f64,
    /// Of a round's median to the floor of the same round.
    ratio: f64,
    ratio_low: f64,
    ratio_high: f64,
}

/// One throughput beside its floor. All figures are medians over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Throughput {
    name: &'static str,
    transport: &'static str,
    mode: &'static str,
    value: f64,
    unit: &'static str,
    floor: f64,
    /// Of a round's value to the floor of the same round.
    ratio: f64,
    ratio_low: f64,
    ratio_high: f64,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    rounds: usize,
    protocol: &'static str,
    results: Vec<Latency>,
    throughputs: Vec<Throughput>,
}

type Rounds<'a> = &'a [(Round, Floors)];

fn spread(rounds: Rounds<'_>, figure: impl Fn(&Round, &Floors) -> f64) -> Spread {
    rounds
        .iter()
        .map(|(round, floors)| figure(round, floors))
        .collect()
}

impl Latency {
    fn of(
        name: &'static str,
        rounds: Rounds<'_>,
        times: impl Fn(&Round) -> &Times,
        floor: impl Fn(&Floors, usize) -> f64,
    ) -> Self {
        let own = |percent| spread(rounds, |round, _| times(round).percentile(percent)).median;
        let floors = |percent| spread(rounds, |_, floors| floor(floors, percent)).median;
        let ratio = spread(rounds, |round, floors| {
            times(round).median() / floor(floors, 50)
        });
        Self {
            name,
            transport: TRANSPORT,
            mode: MODE,
            p50_us: own(50),
            p99_us: own(99),
            floor_p50_us: floors(50),
            floor_p99_us: floors(99),
            ratio: ratio.median,
            ratio_low: ratio.low,
            ratio_high: ratio.high,
        }
    }
}

impl Throughput {
    fn of(
        name: &'static str,
        unit: &'static str,
        rounds: Rounds<'_>,
        value: impl Fn(&Round) -> f64,
        floor: impl Fn(&Floors) -> f64,
    ) -> Self {
        let ratio = spread(rounds, |round, floors| value(round) / floor(floors));
        Self {
            name,
            transport: TRANSPORT,
            mode: MODE,
            value: spread(rounds, |round, _| value(round)).median,
            unit,
            floor: spread(rounds, |_, floors| floor(floors)).median,
            ratio: ratio.median,
            ratio_low: ratio.low,
            ratio_high: ratio.high,
        }
    }
}

impl Report {
    pub(crate) fn of(protocol: ProtocolKind, rounds: Rounds<'_>) -> Self {
        let (trips, scan) = ("round trips/s", "MiB/s");
        Self {
            rounds: rounds.len(),
            protocol: protocol.name(),
            results: vec![
                Latency::of("remote read", rounds, |r| &r.read, Floors::fetch),
                Latency::of("remote write", rounds, |r| &r.write, Floors::fetch),
                Latency::of("upgrade", rounds, |r| &r.upgrade, Floors::upgrade),
            ],
            throughputs: vec![
                Throughput::of(
                    "page ping-pong",
                    trips,
                    rounds,
                    |r| r.ping_pong,
                    Floors::ping_pong,
                ),
                Throughput::of(
                    "sequential read",
                    scan,
                    rounds,
                    |r| r.read_scan,
                    |f| f.stream,
                ),
                Throughput::of(
                    "sequential write",
                    scan,
                    rounds,
                    |r| r.write_scan,
                    |f| f.stream,
                ),
            ],
        }
    }

    /// Two tables, and what they mean.
    pub(crate) fn to_text(&self) -> String {
        let mut times = table([
            "fault",
            "p50 us",
            "p99 us",
            "floor p50",
            "floor p99",
            "ratio",
            "low..high",
        ]);
        for row in &self.results {
            times.add_row([
                row.name.to_owned(),
                format!("{:.1}", row.p50_us),
                format!("{:.1}", row.p99_us),
                format!("{:.1}", row.floor_p50_us),
                format!("{:.1}", row.floor_p99_us),
                format!("{:.2}", row.ratio),
                format!("{:.2}..{:.2}", row.ratio_low, row.ratio_high),
            ]);
        }
        let mut throughputs = table(["throughput", "value", "floor", "unit", "ratio", "low..high"]);
        for row in &self.throughputs {
            throughputs.add_row([
                row.name.to_owned(),
                format!("{:.0}", row.value),
                format!("{:.0}", row.floor),
                row.unit.to_owned(),
                format!("{:.3}", row.ratio),
                format!("{:.3}..{:.3}", row.ratio_low, row.ratio_high),
            ]);
        }
        format!(
            "{times}\n{throughputs}\n\
             Medians of {} rounds of protocol {} over {TRANSPORT}, {MODE}; each ratio is to the floor of its own \
             round.\n\
             Floor of a fault: one bare userfaultfd fault and one bare TCP round trip of as many \
             bytes.\n\
             Floor of ping-pong: one such fetch each way. Floor of a scan: a bare TCP stream.\n",
            self.rounds, self.protocol
        )
    }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
