//! Everything that was found, for people and for machines.

use comfy_table::{CellAlignment, Table, presets};
use giantvm_examples::machine::this_machine;
use giantvm_examples::spread::Spread;
use serde::Serialize;

use crate::cli::Cli;
use crate::figures::{Figures, Round, geometric_mean};
use crate::machine::Run;

/// What the best case is to reach.
const BEST: f64 = 3.5;
/// What the geometric mean over the memory-bound ones is to reach.
const MEAN: f64 = 1.6;
/// What no case may fall below.
const WORST: f64 = 0.95;

/// How and where it was measured, and the figures.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) command: String,
    pub(crate) machine: String,
    transport: &'static str,
    /// Processes that ran or wanted to, on average over a minute, before the first run and after the last.
    load: [Option<f64>; 2],
    pub(crate) cases: Vec<Figures>,
    bars: Option<Bars>,
}

/// What the ratios come to, and those to one node.
#[derive(Debug, Serialize)]
struct Bars {
    best: f64,
    best_alone: f64,
    /// Over those that wait for memory and have more threads than vCPUs, and over all that wait for it.
    mean_crowded: Option<f64>,
    mean: Option<f64>,
    mean_alone: Option<f64>,
    worst: f64,
}

impl Report {
    pub(crate) fn new(cli: &Cli) -> Self {
        let arguments = std::env::args().skip(1);
        let command = std::iter::once("npb".to_owned()).chain(arguments);
        Self {
            command: command.collect::<Vec<_>>().join(" "),
            machine: this_machine(),
            transport: cli.transport.name(),
            load: [load(), None],
            cases: Vec::new(),
            bars: None,
        }
    }

    pub(crate) fn finish(&mut self, cases: Vec<Figures>) {
        self.load[1] = load();
        self.bars = Bars::of(&cases);
        self.cases = cases;
    }

    /// How it was measured, in two lines.
    pub(crate) fn how(&self) -> [String; 2] {
        let load = self
            .load
            .map(|load| load.map_or("?".into(), |load| format!("{load:.1}")));
        let [before, after] = load;
        let (machine, transport) = (&self.machine, self.transport);
        let line = format!(
            "{machine}; nodes are processes over {transport}; load {before} before, {after} after"
        );
        [line, self.command.clone()]
    }

    pub(crate) fn to_text(&self) -> String {
        let [line, command] = self.how();
        let mut text = format!("{command}\n{line}\n{}\n", self.table());
        if let Some(bars) = &self.bars {
            text += &bars.to_text();
        }
        for figures in self.cases.iter().filter(|of| of.ratio.median < WORST) {
            text += &profile(figures);
        }
        let best = self.cases.iter();
        let best = best.max_by(|a, b| a.ratio.median.total_cmp(&b.ratio.median));
        text + &best.map(profile).unwrap_or_default()
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header([
            "on",
            "case",
            "nodes",
            "vCPUs",
            "threads",
            "fair ms",
            "das ms",
            "ratio",
            "low..high",
            "alone ms",
            "to alone",
            "cpu s fair",
            "das",
            "faults fair",
            "das",
            "MiB fair",
            "das",
            "moves fair",
            "das",
        ]);
        for of in &self.cases {
            let case = &of.case;
            let moves = |run: fn(&Round) -> &Run| {
                let moves = of.rounds.iter().map(|of| run(of).changes_of_node as f64);
                moves.collect::<Spread>().median
            };
            table.add_row([
                case.vcpu.name().to_owned(),
                format!("{}.{:?}", case.benchmark.name(), case.class),
                case.nodes.to_string(),
                case.vcpus.to_string(),
                case.threads().to_string(),
                format!("{:.0}", of.fair_ms.median),
                format!("{:.0}", of.das_ms.median),
                format!("{:.2}", of.ratio.median),
                format!("{:.2}..{:.2}", of.ratio.low, of.ratio.high),
                format!("{:.0}", of.alone_ms.median),
                format!("{:.2}", of.to_alone.median),
                format!("{:.1}", of.cpu_s[0]),
                format!("{:.1}", of.cpu_s[1]),
                format!("{:.0}", of.remote_faults[0]),
                format!("{:.0}", of.remote_faults[1]),
                format!("{:.1}", of.mebibytes[0]),
                format!("{:.1}", of.mebibytes[1]),
                format!("{:.0}", moves(|of| &of.fair)),
                format!("{:.0}", moves(|of| &of.das)),
            ]);
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl Bars {
    /// `None` if nothing was measured.
    fn of(cases: &[Figures]) -> Option<Self> {
        let ratios = || cases.iter().map(|of| of.ratio.median);
        let memory_bound = || {
            cases
                .iter()
                .filter(|of| of.case.benchmark.is_memory_bound())
        };
        let crowded = memory_bound().filter(|of| of.case.factor > 1);
        cases.first()?;
        Some(Self {
            best: ratios().fold(f64::NAN, f64::max),
            best_alone: cases
                .iter()
                .map(|of| of.to_alone.median)
                .fold(f64::NAN, f64::max),
            mean_crowded: geometric_mean(crowded.map(|of| of.ratio.median)),
            mean: geometric_mean(memory_bound().map(|of| of.ratio.median)),
            mean_alone: geometric_mean(memory_bound().map(|of| of.to_alone.median)),
            worst: ratios().fold(f64::NAN, f64::min),
        })
    }

    fn to_text(&self) -> String {
        let line = |what: &str, found: Option<f64>, bar: f64, alone: Option<f64>| {
            let mark = match found {
                Some(found) if found >= bar => "reached",
                Some(_) => "missed ",
                None => "unknown",
            };
            let found = found.map_or("-".into(), |found| format!("{found:.2}"));
            let alone = alone.map_or(String::new(), |alone| format!("; {alone:.2} on one node"));
            format!("  {mark}  {found:>5} of {bar:<4} {what}{alone}\n")
        };
        let (best, mean) = (Some(self.best_alone), self.mean_alone);
        line("best case", Some(self.best), BEST, best)
            + &line(
                "geometric mean of memory-bound cases",
                self.mean,
                MEAN,
                mean,
            )
            + &line(
                "the same, more threads than vCPUs",
                self.mean_crowded,
                MEAN,
                None,
            )
            + &line("worst case", Some(self.worst), WORST, None)
    }
}

/// Where the time of a case's threads went, in its last round.
fn profile(of: &Figures) -> String {
    let Some(last) = of.rounds.last() else {
        return String::new();
    };
    let mut text = format!(
        "\n{}: ratio {:.2}, by thread in the last round\n",
        of.case, of.ratio.median
    );
    for (name, run) in [("fair", &last.fair), ("das", &last.das)] {
        text += &format!(
            "  {name:<4} {:.0} ms counted, {:.0} ms of stall, scheduler {:.0} ms of which {:.1} for faults\n",
            run.ms, run.stall_ms, run.scheduler_ms, run.faults_told_ms
        );
        for thread in &run.threads {
            text += &format!(
                "       thread {:>3} ends on node {}, {:>4} changes of node, {:>6} loads {:>6} stores remote, {:>6.0} ms\n",
                thread.thread,
                thread.node,
                thread.changes_of_node,
                thread.faults_read,
                thread.faults_write,
                thread.stall_ms
            );
        }
    }
    text
}

/// The system's load over the last minute.
fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
