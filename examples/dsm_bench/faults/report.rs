//! The figures of faults, for machines. All are medians over the rounds.

use giantvm_examples::spread::Spread;
use serde::Serialize;

use crate::bars::{self, Verdict};
use crate::cli::Cli;
use crate::faults::round::{Round, THREADS, Writing};
use crate::floor::{Floor, Floors};
use crate::sample::Times;

/// What one round found.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) loaded: bool,
    pub(crate) round: Round,
    pub(crate) floors: Floors,
}

/// One kind of fault beside its floor.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) name: &'static str,
    pub(crate) loaded: bool,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) floor_p50_us: f64,
    pub(crate) floor_p99_us: f64,
    /// Of a round's median to the floor of the same round.
    pub(crate) ratio: Spread,
    pub(crate) ratio_p99: Spread,
    pub(crate) verdict: Verdict,
    p50_us_of_rounds: Vec<f64>,
}

/// One throughput beside its floor.
#[derive(Debug, Serialize)]
pub(crate) struct Throughput {
    pub(crate) name: String,
    pub(crate) loaded: bool,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What it is compared with.
    pub(crate) floor: f64,
    /// Of a round's value to the floor of the same round.
    pub(crate) ratio: Spread,
    /// What the slowest writer gets of an even share.
    pub(crate) slowest_share: Option<f64>,
    /// The longest wait of any writer in any round.
    pub(crate) longest_us: Option<f64>,
    pub(crate) verdict: Verdict,
    value_of_rounds: Vec<f64>,
}

/// A step that floors are made of.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) loaded: bool,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// A bare stream.
#[derive(Debug, Serialize)]
pub(crate) struct Stream {
    pub(crate) name: &'static str,
    pub(crate) loaded: bool,
    pub(crate) mib_per_second: f64,
}

/// What became of all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Faults {
    pub(crate) results: Vec<Latency>,
    pub(crate) throughputs: Vec<Throughput>,
    pub(crate) steps: Vec<Step>,
    pub(crate) streams: Vec<Stream>,
}

/// Rounds of one kind.
struct Group<'a> {
    cli: &'a Cli,
    loaded: bool,
    rounds: Vec<&'a Measured>,
}

impl Faults {
    pub(crate) fn of(cli: &Cli, rounds: &[Measured]) -> Self {
        let groups = cli.load.rounds().iter().map(|&loaded| Group {
            cli,
            loaded,
            rounds: rounds.iter().filter(|m| m.loaded == loaded).collect(),
        });
        let groups: Vec<_> = groups.collect();
        Self {
            results: groups.iter().flat_map(Group::latencies).collect(),
            throughputs: groups.iter().flat_map(Group::throughputs).collect(),
            steps: groups.iter().flat_map(Group::steps).collect(),
            streams: groups.iter().flat_map(Group::streams).collect(),
        }
    }
}

impl Group<'_> {
    fn each(&self, figure: impl Fn(&Measured) -> f64) -> Vec<f64> {
        self.rounds.iter().map(|&m| figure(m)).collect()
    }

    fn spread(&self, figure: impl Fn(&Measured) -> f64) -> Spread {
        self.each(figure).into_iter().collect()
    }

    fn latencies(&self) -> Vec<Latency> {
        vec![
            self.latency("remote read", |r| &r.read, Floors::read),
            self.latency("remote write", |r| &r.write, Floors::write),
            self.latency("upgrade", |r| &r.upgrade, Floors::upgrade),
            self.latency("random read", |r| &r.random, Floors::read),
        ]
    }

    fn latency(
        &self,
        name: &'static str,
        times: impl Fn(&Round) -> &Times,
        floor: impl Fn(&Floors) -> Floor,
    ) -> Latency {
        let p50 = |m: &Measured| times(&m.round).median();
        let p99 = |m: &Measured| times(&m.round).percentile(99);
        let floor_p50 = |m: &Measured| floor(&m.floors).p50;
        let floor_p99 = |m: &Measured| floor(&m.floors).sums.percentile(99);
        let ratio = self.spread(|m| p50(m) / floor_p50(m));
        let (tail, floor_tail) = (self.spread(p99).median, self.spread(floor_p99).median);
        let pump = self.cli.pump;
        Latency {
            name,
            loaded: self.loaded,
            p50_us: self.spread(p50).median,
            p99_us: tail,
            floor_p50_us: self.spread(floor_p50).median,
            floor_p99_us: floor_tail,
            ratio,
            ratio_p99: self.spread(|m| p99(m) / floor_p99(m)),
            verdict: bars::fault(pump, self.loaded, ratio.median, tail, floor_tail),
            p50_us_of_rounds: self.each(p50),
        }
    }

    fn throughputs(&self) -> Vec<Throughput> {
        let (read, write) = (bars::READ_SCAN, bars::WRITE_SCAN);
        let stream = |m: &Measured| m.floors.transport().stream;
        let scan = "MiB/s";
        let mut rows: Vec<_> = (2..=self.cli.nodes()).map(|n| self.writers(n)).collect();
        let swaps = |m: &Measured| m.floors.swaps;
        let bare = |m: &Measured| m.floors.handovers();
        rows.push(self.throughput("2 bare writers", "handovers/s", swaps, bare));
        let of_bare = |m: &Measured| m.round.writing[0].handovers;
        rows.push(self.throughput("2 writers to bare", "handovers/s", of_bare, swaps));
        let round_trips = |m: &Measured| m.floors.handovers() / 2.0;
        rows.push(self.throughput("flag", "round trips/s", |m| m.round.flag, round_trips));
        let row = self.throughput("sequential read", scan, |m| m.round.read_scan, stream);
        rows.push(row.with_bar(read));
        let row = self.throughput("sequential write", scan, |m| m.round.write_scan, stream);
        rows.push(row.with_bar(write));
        for (at, threads) in THREADS.iter().enumerate() {
            let name = format!("{threads} threads");
            let figure = |m: &Measured| m.round.threads[at];
            rows.push(self.throughput(&name, "faults/s", figure, |m| m.round.threads[0]));
        }
        rows
    }

    fn throughput(
        &self,
        name: &str,
        unit: &'static str,
        value: impl Fn(&Measured) -> f64,
        floor: impl Fn(&Measured) -> f64,
    ) -> Throughput {
        Throughput {
            name: name.to_owned(),
            loaded: self.loaded,
            value: self.spread(&value).median,
            unit,
            floor: self.spread(&floor).median,
            ratio: self.spread(|m| value(m) / floor(m)),
            slowest_share: None,
            longest_us: None,
            verdict: Verdict::None,
            value_of_rounds: self.each(value),
        }
    }

    /// Two are compared with the floor, more with two.
    fn writers(&self, nodes: usize) -> Throughput {
        let writing = |m: &Measured| -> Writing { m.round.writing[nodes - 2] };
        let floor = |m: &Measured| match nodes {
            2 => m.floors.handovers(),
            _ => m.round.writing[0].handovers.max(1.0),
        };
        let name = format!("{nodes} writers");
        let row = self.throughput(&name, "handovers/s", |m| writing(m).handovers, floor);
        let share = self.spread(|m| writing(m).slowest).median;
        let fair = Verdict::of(nodes == 2 || share >= bars::SLOWEST);
        let mut row = row.with_bar(match nodes {
            2 => bars::TWO_WRITERS,
            _ => bars::MORE_WRITERS,
        });
        row.slowest_share = Some(share);
        row.longest_us = Some(self.spread(|m| writing(m).longest_us).high);
        row.verdict = if fair == Verdict::Met {
            row.verdict
        } else {
            fair
        };
        row
    }

    fn steps(&self) -> Vec<Step> {
        let step = |name, times: fn(&Floors) -> &Times| Step {
            name,
            loaded: self.loaded,
            p50_us: self.spread(|m| times(&m.floors).median()).median,
            p99_us: self.spread(|m| times(&m.floors).percentile(99)).median,
        };
        vec![
            step("fault, load", |f| &f.missing),
            step("fault, store", |f| &f.absent),
            step("fault, protected", |f| &f.protected),
            step("unmap", |f| &f.unmaps),
            step("tcp page, busy", |f| &f.tcp.page_busy),
            step("tcp page, blocking", |f| &f.tcp.page_blocking),
            step("tcp control, busy", |f| &f.tcp.control_busy),
            step("tcp control, blocking", |f| &f.tcp.control_blocking),
            step("shm page, busy", |f| &f.ring.page_busy),
            step("shm page, blocking", |f| &f.ring.page_blocking),
            step("shm control, busy", |f| &f.ring.control_busy),
            step("shm control, blocking", |f| &f.ring.control_blocking),
        ]
    }

    fn streams(&self) -> [Stream; 2] {
        let stream = |name, rate: fn(&Floors) -> f64| Stream {
            name,
            loaded: self.loaded,
            mib_per_second: self.spread(|m| rate(&m.floors)).median,
        };
        [
            stream("tcp stream", |f| f.tcp.stream),
            stream("shm stream", |f| f.ring.stream),
        ]
    }
}

impl Throughput {
    fn with_bar(mut self, bar: f64) -> Self {
        self.verdict = Verdict::of(self.ratio.median >= bar);
        self
    }
}
