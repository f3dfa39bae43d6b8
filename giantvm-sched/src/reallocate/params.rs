//! What a mover weighs with, in which units, and where the defaults come from.

use super::mover::Unit;
use crate::precopy::Terms;
use crate::schedule::Nanos;

/// What a move costs and what it has to bring.
///
/// The defaults are for vCPUs, the best of 20 tried in `examples/colocate`; for slices see
/// [`Parameters::of`]. The costs of a vCPU's move are those of `giantvm-dsm/docs/cost.md` over a
/// network: each page that follows takes a whole remote fault, with no credit for read-ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameters {
    /// What a move has to earn back, and the time that it has for that: 5 minutes, twice as
    /// long as waves of a cluster's load last (see `examples/colocate`).
    pub horizon: Nanos,
    /// A move's gain over the horizon must be so many times its cost: 2, at least 1.
    pub factor: u32,
    /// The least gain worth a move, in ns a second: 10,000,000, a hundredth of a processor.
    pub least_gain: u64,
    /// How often in a row a host has to be found crowded before anything leaves it: once.
    pub patience: u32,
    /// How long something stays on a host that it was moved to: 20 s. It doubles with each further
    /// move, up to 64 times, until it was left alone for eight times as long.
    pub residency: Nanos,
    /// What is left free where something goes, and what a crowded host gets back, in thousandths of the
    /// host's capacity: 50.
    pub reserve: u32,
    /// Moves of one decision at most: 4096.
    pub steps: usize,
    /// How often decisions are made; moves have to begin until the next: 10 s.
    pub period: Nanos,
    /// Bytes a second of a host's link: 1.25 GB, 10 Gb/s.
    pub link: u64,
    /// A remote fault: 50 us. In `cost.md`, 17 us over memory that nodes share, 10 us more by way of
    /// TCP on one host, and 8 us where a pump has to be woken; the rest is for a network's wire and
    /// switch.
    pub fault: Nanos,
    /// How long a vCPU stands still while it moves, without its pages: 5 ms.
    pub pause: Nanos,
    /// How long a host that a vCPU left keeps its pages as a base for deltas: 10 minutes.
    pub standby: Nanos,
    /// How many of a hundred of its pages a vCPU that comes back within that time has to fetch: 60.
    pub returning: u32,
    /// When live migration stops what it moves.
    pub terms: Terms,
}

impl Parameters {
    /// For moving these. Slices are dear to move and have defaults of their own, those of 18 tried
    /// that kept the most machines at speed in `examples/colocate`: hosts that are crowded twice in a
    /// row, 45 % left free where a slice goes, 5 minutes of residency, 15 of horizon.
    #[must_use]
    pub fn of(unit: Unit) -> Self {
        match unit {
            Unit::Vcpu => Self::default(),
            Unit::Slice => Self {
                horizon: Nanos(900_000_000_000),
                patience: 2,
                residency: Nanos(300_000_000_000),
                reserve: 450,
                ..Self::default()
            },
        }
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            horizon: Nanos(300_000_000_000),
            factor: 2,
            least_gain: 10_000_000,
            patience: 1,
            residency: Nanos(20_000_000_000),
            reserve: 50,
            steps: 4096,
            period: Nanos(10_000_000_000),
            link: 1_250_000_000,
            fault: Nanos(50_000),
            pause: Nanos(5_000_000),
            standby: Nanos(600_000_000_000),
            returning: 60,
            terms: Terms::default(),
        }
    }
}
