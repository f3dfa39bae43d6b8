//! One round: everything once, as node a sees it.

use std::fmt;
use std::time::{Duration, Instant};

use crate::cli::Cli;
use crate::far::{Answer, FarSide, Order};
use crate::pair::Node;
use crate::sample::Times;
use crate::workload::{Touch, Walk, Writer};

/// How many threads of node a fault at a time.
pub(crate) const THREADS: [usize; 4] = [1, 2, 4, 8];

/// What one round took.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) read: Times,
    pub(crate) write: Times,
    pub(crate) upgrade: Times,
    /// Reads of pages all over the memory.
    pub(crate) random: Times,
    /// Round trips a second of a page written in turn.
    pub(crate) flag: f64,
    /// Two writers, three, and so on.
    pub(crate) writing: Vec<Writing>,
    /// Mebibytes a second.
    pub(crate) read_scan: f64,
    /// Mebibytes a second.
    pub(crate) write_scan: f64,
    /// Faults a second, of so many [`THREADS`].
    pub(crate) threads: [f64; THREADS.len()],
}

/// What several nodes that write one page made of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Writing {
    /// Handovers a second.
    pub(crate) handovers: f64,
    /// What the slowest got of what each would get if all got the same.
    pub(crate) slowest: f64,
    /// The longest wait for a handover in microseconds.
    pub(crate) longest_us: f64,
}

impl Writing {
    fn of(writers: &[Writer], time: Duration) -> Self {
        let total: u64 = writers.iter().map(|writer| writer.handovers).sum();
        let least = writers.iter().map(|writer| writer.handovers).min();
        let share = total.max(1) as f64 / writers.len() as f64;
        Self {
            handovers: total as f64 / time.as_secs_f64(),
            slowest: least.unwrap_or(0) as f64 / share,
            longest_us: writers.iter().map(|w| w.longest_us).fold(0.0, f64::max),
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [read, write, upgrade] = [&self.read, &self.write, &self.upgrade].map(Times::median);
        let pages = self.writing.first().map_or(0.0, |two| two.handovers);
        write!(
            f,
            "read {read:.0} us, write {write:.0} us, upgrade {upgrade:.0} us, {pages:.0} \
             handovers/s, scan {:.0} and {:.0} MiB/s",
            self.read_scan, self.write_scan
        )
    }
}

/// Node a, which measures, and the others, of which b is the first.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) node: &'a Node,
    pub(crate) fars: &'a mut [FarSide],
    pub(crate) cli: &'a Cli,
}

impl Bench<'_> {
    pub(crate) fn round(&mut self) -> anyhow::Result<Round> {
        let pages = self.cli.pages;
        let near = Walk::apart(pages);
        let wide = Walk::scattered(pages, self.cli.data_pages());
        let mut round = Round {
            read: self.fetch(near, Touch::Load)?,
            upgrade: self.node.touch(near, Touch::Store)?,
            write: self.fetch(near, Touch::Store)?,
            flag: self.flag((pages / 5).max(1))?,
            read_scan: self.scan(Touch::Load)?,
            write_scan: self.scan(Touch::Store)?,
            random: self.fetch(wide, Touch::Load)?,
            ..Round::default()
        };
        for nodes in 2..=self.cli.nodes() {
            round.writing.push(self.write_by(nodes)?);
        }
        for (threads, figure) in THREADS.into_iter().zip(&mut round.threads) {
            self.tell_b(Order::Own(near))?;
            *figure = self.node.load_by(near, threads)?;
        }
        Ok(round)
    }

    fn tell_b(&mut self, order: Order) -> anyhow::Result<()> {
        self.fars[0].ask(order).map(|_| ())
    }

    /// Times touching pages that b has written.
    fn fetch(&mut self, walk: Walk, touch: Touch) -> anyhow::Result<Times> {
        self.tell_b(Order::Own(walk))?;
        self.node.touch(walk, touch)
    }

    /// Touches all that b has written, in order; mebibytes a second.
    pub(crate) fn scan(&mut self, touch: Touch) -> anyhow::Result<f64> {
        let walk = Walk::in_order(self.cli.scan_pages());
        let seconds = self.fetch(walk, touch)?.total();
        Ok(walk.count as f64 / 256.0 / seconds)
    }

    fn flag(&mut self, turns: u64) -> anyhow::Result<f64> {
        self.node.prepare_turns()?;
        let start = Instant::now();
        self.fars[0].order(Order::Turns(turns))?;
        self.node.turns(turns, 0)?;
        self.fars[0].answer()?;
        Ok(turns as f64 / start.elapsed().as_secs_f64())
    }

    fn write_by(&mut self, nodes: usize) -> anyhow::Result<Writing> {
        let others = &mut self.fars[..nodes - 1];
        for far in &mut *others {
            far.order(Order::Write(self.cli.writing))?;
        }
        let time = Duration::from_millis(self.cli.writing);
        let mut writers = vec![self.node.write(time)?];
        for far in others {
            if let Answer::Wrote(writer) = far.answer()? {
                writers.push(writer);
            }
        }
        Ok(Writing::of(&writers, time))
    }
}
