//! Who waits for other nodes, for what and how long.
//!
//! Whoever places threads needs to know which of them waits for which pages. Sums only grow, so that
//! someone who looks now and then takes the difference. What a thread waited for is counted by groups
//! of pages, in a [`Table`] of fixed size: what was not waited for of late leaves, and begins anew when
//! it is back.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use giantvm_core::PageIndex;

use super::super::hooks::ServedFault;
use super::table::{Key, Table};
use crate::protocol::Access;

/// The pages of a group.
pub const STALL_GROUP: u64 = 16;
/// Threads that are told apart at most, the first ones: some times the vCPUs and devices of a node.
const MOST_THREADS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 9;
/// Groups by thread that are known at most.
const MOST_GROUPS: usize = 2048;

/// What one thread waited for other nodes since the start. It only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadStall {
    /// The system's number of the thread.
    pub thread: u32,
    /// Faults of loads.
    pub reads: u64,
    /// Faults of stores.
    pub writes: u64,
    /// How long they took.
    pub stall: Duration,
}

/// What one thread waited for one group of pages, since the group is known. It only grows until that is
/// forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupStall {
    /// The group's first page.
    pub first: PageIndex,
    /// The system's number of the thread.
    pub thread: u32,
    /// Faults of loads.
    pub reads: u32,
    /// Faults of stores.
    pub writes: u32,
    /// How long they took.
    pub stall: Duration,
    /// How many of them were of late: half of those ten seconds ago count, a quarter of those twenty.
    pub recent: u32,
}

/// Who waited for what on one node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stalls {
    /// Threads, by their number: the first 512 that waited.
    pub threads: Vec<ThreadStall>,
    /// What they waited for, what was waited for most often of late first.
    pub groups: Vec<GroupStall>,
}

/// A group and a thread, by its place in the list of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    group: u64,
    slot: u16,
}

impl Key for Use {
    fn number(self) -> u64 {
        self.group << SLOT_BITS | u64::from(self.slot)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    reads: u32,
    writes: u32,
    stall: Duration,
}

/// What is known of waits.
#[derive(Debug)]
pub(super) struct Waits {
    slots: BTreeMap<u32, u16>,
    threads: Vec<ThreadStall>,
    groups: Table<Sum, Use>,
}

impl Waits {
    pub(super) fn new() -> Self {
        Self {
            slots: BTreeMap::new(),
            threads: Vec::new(),
            groups: Table::new(MOST_GROUPS),
        }
    }

    pub(super) fn count(&mut self, fault: &ServedFault) {
        let Some(slot) = self.slot(fault.thread) else {
            return;
        };
        let of = &mut self.threads[usize::from(slot)];
        let group = fault.page.0 / STALL_GROUP;
        let sum = self.groups.count(Use { group, slot });
        match fault.access {
            Access::Read => {
                of.reads += 1;
                sum.reads = sum.reads.saturating_add(1);
            }
            Access::Write => {
                of.writes += 1;
                sum.writes = sum.writes.saturating_add(1);
            }
        }
        of.stall = of.stall.saturating_add(fault.stall);
        sum.stall = sum.stall.saturating_add(fault.stall);
    }

    /// Halves what decides who stays, and not what is told.
    pub(super) fn halve(&mut self, times: u32) {
        self.groups.halve(times, |_| {});
    }

    pub(super) fn stalls(&self, most: usize) -> Stalls {
        let threads = self.slots.values();
        let mut groups: Vec<_> = self.groups.entries().iter().collect();
        groups.sort_unstable_by_key(|of| (Reverse(of.weight), of.key.number()));
        groups.truncate(most);
        Stalls {
            threads: threads
                .map(|slot| self.threads[usize::from(*slot)])
                .collect(),
            groups: groups
                .into_iter()
                .map(|of| GroupStall {
                    first: PageIndex(of.key.group * STALL_GROUP),
                    thread: self.threads[usize::from(of.key.slot)].thread,
                    reads: of.value.reads,
                    writes: of.value.writes,
                    stall: of.value.stall,
                    recent: of.weight,
                })
                .collect(),
        }
    }

    /// A thread's place in the list; `None` if it is full, or the thread is not known.
    fn slot(&mut self, thread: u32) -> Option<u16> {
        if let Some(slot) = self.slots.get(&thread) {
            return Some(*slot);
        }
        if thread == 0 || self.threads.len() >= MOST_THREADS {
            return None;
        }
        let slot = u16::try_from(self.threads.len()).ok()?;
        self.slots.insert(thread, slot);
        self.threads.push(ThreadStall {
            thread,
            reads: 0,
            writes: 0,
            stall: Duration::ZERO,
        });
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stats::FaultKind;

    const MICRO: Duration = Duration::from_micros(1);

    fn wait(waits: &mut Waits, thread: u32, page: u64, access: Access) {
        waits.count(&ServedFault {
            page: PageIndex(page),
            kind: FaultKind::RemoteRead,
            thread,
            access,
            stall: MICRO,
        });
    }

    #[test]
    fn waits_are_counted_by_thread_and_by_group() {
        let mut waits = Waits::new();
        for page in [32, 47, 47, 48] {
            wait(&mut waits, 7, page, Access::Write);
        }
        wait(&mut waits, 5, 33, Access::Read);
        let stalls = waits.stalls(9);
        let threads = stalls
            .threads
            .iter()
            .map(|of| (of.thread, of.reads, of.writes, of.stall));
        assert_eq!(
            threads.collect::<Vec<_>>(),
            [(5, 1, 0, MICRO), (7, 0, 4, 4 * MICRO)]
        );
        let groups = stalls
            .groups
            .iter()
            .map(|of| (of.first.0, of.thread, of.reads + of.writes));
        assert_eq!(
            groups.collect::<Vec<_>>(),
            [(32, 7, 3), (32, 5, 1), (48, 7, 1)]
        );
        assert_eq!(waits.stalls(1).groups.len(), 1);
    }

    #[test]
    fn time_takes_away_groups_and_no_sum() {
        let mut waits = Waits::new();
        for _ in 0..4 {
            wait(&mut waits, 7, 32, Access::Write);
        }
        waits.halve(1);
        assert_eq!(waits.stalls(9).groups[0].writes, 4);
        waits.halve(9);
        let stalls = waits.stalls(9);
        assert_eq!(stalls.groups, []);
        assert_eq!(stalls.threads[0].writes, 4);
    }

    #[test]
    fn what_is_kept_is_bounded_and_who_is_not_known_is_no_one() {
        let mut waits = Waits::new();
        for number in 0..100_000_u32 {
            wait(&mut waits, number, number.into(), Access::Read);
        }
        let stalls = waits.stalls(usize::MAX);
        assert_eq!(stalls.threads.len(), MOST_THREADS);
        assert!(stalls.groups.len() <= MOST_GROUPS);
        assert_eq!(stalls.threads[0].thread, 1);
    }

    /// Prints what a wait costs: `cargo test --release -p giantvm-dsm -- --ignored a_wait_costs --nocapture`.
    #[test]
    #[ignore = "it measures"]
    fn what_a_wait_costs() {
        const BATCH: u64 = 100;
        for (name, threads, spread) in
            [("one group", 1, 1), ("1000 groups of 8 threads", 8, 16_000)]
        {
            let mut waits = Waits::new();
            // The fastest, as others use the processor, too.
            let mut best = Duration::MAX;
            for batch in 0..20_000 {
                let start = std::time::Instant::now();
                for event in 0..BATCH {
                    let number = (batch * BATCH + event).wrapping_mul(0x9e37_79b9);
                    let thread = 1 + u32::try_from(number % threads).unwrap();
                    wait(&mut waits, thread, number % spread, Access::Write);
                }
                best = best.min(start.elapsed());
            }
            println!("{name}: {:.0} ns", best.as_secs_f64() * 1e9 / BATCH as f64);
        }
    }
}
