//! A thread that runs.

use giantvm_core::{PageIndex, PageRange};
use rand::Rng;
use rand::rngs::SmallRng;

use super::ThreadSpec;
use crate::schedule::Nanos;

#[derive(Debug)]
pub(super) struct Runner {
    pub(super) spec: ThreadSpec,
    /// Accesses that it made.
    pub(super) done: u64,
    /// When its last access ends.
    pub(super) ready_at: Nanos,
    /// The team whose barrier it is at next, if it is.
    pub(super) arrives: Option<u64>,
}

/// One thing that a thread does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    pub(super) page: PageIndex,
    pub(super) writes: bool,
    pub(super) computes: Nanos,
}

impl Runner {
    pub(super) const fn new(spec: ThreadSpec) -> Self {
        Self {
            spec,
            done: 0,
            ready_at: Nanos(0),
            arrives: None,
        }
    }

    pub(super) fn next(&mut self, rng: &mut SmallRng) -> Access {
        let of = &self.spec;
        let shares = !of.shared.is_empty() && rng.random_range(0..100) < of.sharing;
        let page = if shares {
            any(of.shared, rng)
        } else if of.walks {
            PageIndex(of.own.start.0 + self.done % of.own.len().max(1))
        } else {
            any(of.own, rng)
        };
        self.done += 1;
        let barrier = of
            .barrier
            .filter(|barrier| self.done.is_multiple_of(barrier.every.max(1)));
        self.arrives = barrier.map(|barrier| barrier.team);
        let computes = of.computes.0;
        Access {
            page,
            writes: rng.random_range(0..100) < of.writing,
            computes: Nanos(
                rng.random_range(computes / 2..=computes + computes / 2)
                    .max(1),
            ),
        }
    }
}

fn any(range: PageRange, rng: &mut SmallRng) -> PageIndex {
    PageIndex(range.start.0 + rng.random_range(0..range.len().max(1)))
}
