//! What a migration would take, by the rules of [`Precopy`](super::Precopy).

use super::{Next, Precopy, Round, Terms};
use crate::schedule::Nanos;

/// What a machine stores to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dirtying {
    /// Bytes of memory that are not zeroes. Pages of zeroes are told by a few bytes each, which are
    /// not counted here.
    pub used: u64,
    /// Bytes that stores go to, over and over.
    pub hot: u64,
    /// Bytes a second that are stored to, each page counted whole.
    pub rate: u64,
}

impl Dirtying {
    /// Bytes that were stored to after so long. Stores that hit a page again dirty nothing new:
    /// with a rate `r` and `h` hot bytes it is `h r t / (h + r t)`, less than what random stores
    /// would dirty, in favour of the migration.
    fn after(&self, took: Nanos) -> u64 {
        let hot = u128::from(self.hot.min(self.used));
        let stored = u128::from(self.rate) * u128::from(took.0) / 1_000_000_000;
        let dirty = hot * stored / (hot + stored).max(1);
        u64::try_from(dirty).unwrap_or(u64::MAX)
    }
}

/// What it would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes that go over the link.
    pub bytes: u64,
    /// From the first byte until the machine runs on the other side.
    pub took: Nanos,
    /// How long it stands still.
    pub downtime: Nanos,
    /// Rounds while it runs.
    pub rounds: u32,
}

/// Migrates in thought over a link of so many bytes a second; none counts as one.
///
/// ```
/// use giantvm_sched::precopy::{Dirtying, Terms, estimate};
///
/// let idle = Dirtying { used: 4 << 30, hot: 0, rate: 0 };
/// let of = estimate(Terms::default(), &idle, 1 << 30);
/// assert_eq!((of.bytes, of.rounds), (4 << 30, 1));
/// assert_eq!(of.took.0, 4_000_000_000);
/// ```
#[must_use]
pub fn estimate(terms: Terms, machine: &Dirtying, link: u64) -> Estimate {
    let link = u128::from(link.max(1));
    let takes = |bytes: u64| {
        let nanos = u128::from(bytes) * 1_000_000_000 / link;
        Nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    };
    let mut migration = Precopy::new(terms, machine.used);
    let (mut sends, mut took) = (machine.used, Nanos(0));
    loop {
        let round = takes(sends);
        let dirty = machine.after(round);
        took = took.plus(round);
        let next = migration.after(Round {
            sent: sends,
            took: round,
            dirty,
        });
        if next == Next::Again {
            sends = dirty;
            continue;
        }
        let downtime = takes(dirty);
        return Estimate {
            bytes: migration.sent().saturating_add(dirty),
            took: took.plus(downtime),
            downtime,
            rounds: migration.rounds(),
        };
    }
}
