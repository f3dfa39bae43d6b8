//! What a fault takes on real memory: three nodes in this process, joined by queues.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use giantvm_core::stats::Latency;
use giantvm_dsm::protocol::CoherenceProtocol;
use giantvm_dsm::sync::{Barrier, OwnPages};
use giantvm_dsm::uffd::Support;
use serde::Serialize;
use zerocopy::FromBytes;

use crate::Candidate;
use crate::support::{Shared, on_nodes};

const NODES: u8 = 3;
/// Pages of data, and faults of each kind in a round.
const PAGES: usize = 128;
/// How often two nodes hand a page over in a round, and how often a flag is set.
const TURNS: u64 = 40;

/// What is measured, in the order of the table.
pub(crate) const ABOUT: [(&str, &str); 6] = [
    ("read", "load from a page that one other node has written"),
    (
        "upgrade",
        "store to a page that all three nodes have copies of",
    ),
    ("write", "store to a page that one other node has written"),
    ("migrate", "load from such a page, then store to it"),
    (
        "hand-over",
        "two nodes that spin write one page in turn, from turn to turn",
    ),
    (
        "flag",
        "from the store to a flag until a node that spins on it sees it",
    ),
];

/// The times of one round, in the order of [`ABOUT`].
pub(crate) type Round = [Latency; ABOUT.len()];

/// What one kind of fault takes with one protocol: medians over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Time {
    pub(crate) workload: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// In all rounds together.
    pub(crate) samples: u64,
}

/// Every kind of fault with every protocol. Empty, with a word why, where memory cannot be shared.
pub(crate) fn times(rounds: u16, protocols: &[Candidate]) -> Vec<Time> {
    if rounds > 0 && !Support::probe().missing() {
        eprintln!(
            "compare_protocols: no times on real memory: userfaultfd is missing or not allowed; \
             `cargo run --release --example doctor` says how to mend that"
        );
        return Vec::new();
    }
    let mut all: Vec<Vec<Round>> = protocols.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (protocol, rounds) in protocols.iter().zip(&mut all) {
            rounds.extend((protocol.measure)());
        }
    }
    let kinds = ABOUT.iter().enumerate();
    kinds
        .flat_map(|(kind, (name, _))| {
            let with = protocols.iter().zip(&all);
            with.filter_map(move |(protocol, rounds)| {
                let rounds: Vec<_> = rounds.iter().map(|round| &round[kind]).collect();
                Some(Time {
                    workload: name,
                    protocol: protocol.name,
                    p50_us: median(&rounds, 0.5)?,
                    p99_us: median(&rounds, 0.99)?,
                    samples: rounds.iter().map(|round| round.count()).sum(),
                })
            })
        })
        .collect()
}

/// The median over the rounds of a quantile of each, in microseconds.
fn median(rounds: &[&Latency], quantile: f64) -> Option<f64> {
    let times = rounds.iter().filter_map(|round| round.quantile(quantile));
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    let middle = times.get(times.len() / 2)?;
    Some(middle.as_secs_f64() * 1e6)
}

/// What the nodes share.
#[derive(Debug, FromBytes)]
#[repr(C)]
struct Body {
    step: OwnPages<Barrier>,
    turn: OwnPages<AtomicU64>,
    seen: OwnPages<AtomicU64>,
    flag: OwnPages<AtomicU64>,
    data: [OwnPages<AtomicU64>; PAGES],
}

/// Starts a cluster of its own, measures everything once, and stops it.
pub(crate) fn round<P: CoherenceProtocol>() -> Option<Round> {
    let start = Instant::now();
    let nodes = on_nodes::<P, Body, Round>("compare_protocols", NODES, |node, shared| {
        Script {
            node,
            shared,
            start,
        }
        .run()
    });
    let mut round = Round::default();
    for (part, _) in nodes? {
        for (sum, times) in round.iter_mut().zip(&part) {
            sum.merge(times);
        }
    }
    Some(round)
}

/// A node's view of the round.
struct Script<'a> {
    node: u8,
    shared: &'a Shared<Body>,
    /// What times in the shared memory are counted from.
    start: Instant,
}

impl Script<'_> {
    fn run(&self) -> Round {
        let store = |word: &AtomicU64| word.store(1, Ordering::Relaxed);
        let load = |word: &AtomicU64| _ = word.load(Ordering::Relaxed);
        self.touch(0, store);
        let read = self.touch(1, load);
        self.touch(2, load);
        let upgrade = self.touch(1, store);
        let write = self.touch(2, store);
        let migrate = self.touch(0, |word| {
            load(word);
            store(word);
        });
        let hand_over = self.hand_over();
        let flag = self.flag();
        [read, upgrade, write, migrate, hand_over, flag]
    }

    fn body(&self) -> &Body {
        &self.shared.body
    }

    fn meet(&self) {
        self.body().step.wait(NODES.into());
    }

    /// One node touches all pages while the others wait.
    fn touch(&self, node: u8, touch: impl Fn(&AtomicU64)) -> Latency {
        let mut times = Latency::new();
        if self.node == node {
            for word in &self.body().data {
                let start = Instant::now();
                touch(word);
                times.record(start.elapsed());
            }
        }
        self.meet();
        times
    }

    /// Nodes 0 and 1 increment a word in turn.
    fn hand_over(&self) -> Latency {
        let mut times = Latency::new();
        let turn = &self.body().turn;
        let parity = u64::from(self.node);
        for mine in (0..TURNS).filter(|turn| turn % 2 == parity) {
            let start = Instant::now();
            wait_for(turn, mine);
            turn.store(mine + 1, Ordering::Release);
            // The first turn waits for no one.
            if mine > 1 {
                times.record(start.elapsed() / 2);
            }
        }
        self.meet();
        times
    }

    /// Node 0 writes the time into a flag, node 1 waits for it.
    fn flag(&self) -> Latency {
        let mut times = Latency::new();
        let Body { flag, seen, .. } = self.body();
        let mut set = 0;
        for turn in 1..=TURNS {
            match self.node {
                0 => {
                    // The other node spins by now.
                    std::thread::sleep(Duration::from_millis(1));
                    flag.store(self.now(), Ordering::Release);
                    wait_for(seen, turn);
                }
                1 => {
                    while flag.load(Ordering::Acquire) == set {
                        std::thread::yield_now();
                    }
                    set = flag.load(Ordering::Acquire);
                    times.record(Duration::from_nanos(self.now().saturating_sub(set)));
                    seen.store(turn, Ordering::Release);
                }
                _ => {}
            }
        }
        self.meet();
        times
    }

    /// Nanoseconds since the round began.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn wait_for(word: &AtomicU64, value: u64) {
    while word.load(Ordering::Acquire) != value {
        std::thread::yield_now();
    }
}
