//! What threads do.

use giantvm_core::{PageIndex, PageRange};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::schedule::Nanos;

/// Where threads of a team wait for one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Barrier {
    /// Its team: all threads with the same number.
    pub team: u64,
    /// After how many accesses of each.
    pub every: u64,
}

/// What one thread does, over and over: it computes, then loads or stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadSpec {
    /// Pages that it has in common with others.
    pub shared: PageRange,
    /// Pages of its own.
    pub own: PageRange,
    /// How many of a hundred accesses are to common pages.
    pub sharing: u32,
    /// How many of a hundred are stores.
    pub writing: u32,
    /// Whether it walks through its own pages in order, not at random.
    pub walks: bool,
    /// The time between accesses, in the middle.
    pub computes: Nanos,
    /// Where it waits for others, if it does.
    pub barrier: Option<Barrier>,
}

/// Threads, spawned in this order by whoever runs on the first vCPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its name, for tables.
    pub name: String,
    /// What each thread does.
    pub threads: Vec<ThreadSpec>,
}

fn pages(start: u64, count: u64) -> PageRange {
    PageRange {
        start: PageIndex(start),
        end: PageIndex(start + count),
    }
}

/// Room between what different threads use, so that no group of pages is common by chance.
const APART: u64 = 4096;

fn thread(number: usize) -> ThreadSpec {
    ThreadSpec {
        shared: pages(0, 0),
        own: pages((number as u64 + 1) * APART, 8),
        sharing: 0,
        writing: 50,
        walks: false,
        computes: Nanos(10_000),
        barrier: None,
    }
}

impl Workload {
    /// Teams whose members store to the pages of their team, and to their own; `percent` of their
    /// accesses are to common ones. They are spawned in an order that `seed` chooses.
    #[must_use]
    pub fn sharing(teams: usize, members: usize, percent: u32, seed: u64) -> Self {
        let mut threads: Vec<_> = (0..teams * members).map(thread).collect();
        for (number, of) in threads.iter_mut().enumerate() {
            of.shared = pages((1 << 32) + (number / members.max(1)) as u64 * APART, 4);
            of.sharing = percent;
        }
        threads.shuffle(&mut SmallRng::seed_from_u64(seed));
        Self {
            name: format!("{teams} teams of {members}, {percent}% shared"),
            threads,
        }
    }

    /// The same with a barrier after every `every` accesses of a team.
    #[must_use]
    pub fn in_step(teams: usize, members: usize, every: u64, seed: u64) -> Self {
        let mut workload = Self::sharing(teams, members, 20, seed);
        for of in &mut workload.threads {
            let team = of.shared.start.0;
            of.barrier = Some(Barrier { team, every });
        }
        workload.name = format!("{teams} teams of {members} in step");
        workload
    }

    /// Threads that have nothing in common.
    #[must_use]
    pub fn independent(threads: usize) -> Self {
        Self {
            name: format!("{threads} independent"),
            threads: (0..threads).map(thread).collect(),
        }
    }

    /// Threads that walk through much memory of their own.
    #[must_use]
    pub fn streaming(threads: usize) -> Self {
        let mut workload = Self::independent(threads);
        for of in &mut workload.threads {
            of.own.end = PageIndex(of.own.start.0 + 2048);
            of.walks = true;
        }
        workload.name = format!("{threads} streaming");
        workload
    }

    /// Any of the above with any numbers, for property tests.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (teams, members) = (rng.random_range(1..5), rng.random_range(1..5));
        match rng.random_range(0..4) {
            0 => Self::sharing(teams, members, rng.random_range(1..60), seed),
            1 => Self::in_step(teams, members, rng.random_range(20..500), seed),
            2 => Self::independent(teams * members),
            _ => Self::streaming(teams * members),
        }
    }
}
