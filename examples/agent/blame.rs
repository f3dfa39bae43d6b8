//! Whose faults a vCPU's were.
//!
//! The host knows vCPUs, and the kernel does not tell a program which thread ran when. So faults of a
//! vCPU are divided among the threads that ran there, by the time that each of them used since the last
//! look. A thread that waits for a page seems to run, so who waits much has the larger share. What
//! others used, whom the agent does not look at, is their share.

use std::collections::BTreeMap;

use giantvm_sched::schedule::{Faults, Nanos, ThreadId};

use crate::cpus::Cpus;
use crate::watch::Look;

/// How much of a vCPU's time each thread had between two looks.
#[derive(Debug)]
pub(crate) struct Shares {
    /// By the vCPU's number: its threads with what they used, and what all used.
    vcpus: BTreeMap<u32, (Vec<(u32, u64)>, u64)>,
}

impl Shares {
    pub(crate) fn new(before: &Look, now: &Look, cpus: &Cpus) -> Self {
        let mut vcpus = BTreeMap::<u32, (Vec<(u32, u64)>, u64)>::new();
        for (thread, of) in &now.threads {
            let last = before.threads.get(thread).map_or(0, |last| last.used);
            let used = of.used.saturating_sub(last);
            let Some(vcpu) = cpus.vcpu(of.cpu).filter(|_| used > 0) else {
                continue;
            };
            let (threads, all) = vcpus.entry(vcpu.get().into()).or_default();
            threads.push((*thread, used));
            *all = all.saturating_add(used);
        }
        for (cpu, busy) in &now.busy {
            let last = before.busy.get(cpu).copied().unwrap_or(*busy);
            if let Some(vcpu) = cpus.vcpu(*cpu)
                && let Some((_, all)) = vcpus.get_mut(&vcpu.get().into())
            {
                *all = (*all).max(busy.saturating_sub(last));
            }
        }
        Self { vcpus }
    }

    /// The thread that had most of a vCPU, by the vCPU's number.
    pub(crate) fn foremost(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.vcpus.iter().filter_map(|(vcpu, (threads, _))| {
            let (thread, _) = threads.iter().max_by_key(|(_, used)| *used)?;
            Some((*vcpu, *thread))
        })
    }

    /// The parts of a vCPU's faults that are its threads'.
    pub(crate) fn divide(&self, faults: &Faults) -> Vec<Faults> {
        let Some((threads, all)) = self.vcpus.get(&faults.thread.0) else {
            return Vec::new();
        };
        let part = |number: u64, used: u64| {
            let part = u128::from(number) * u128::from(used) / u128::from((*all).max(1));
            u64::try_from(part).unwrap_or(u64::MAX)
        };
        // At least one of what there is: a share of few faults is not none.
        let count = |number: u32, used| match number {
            0 => 0,
            number => u32::try_from(part(number.into(), used))
                .unwrap_or(u32::MAX)
                .max(1),
        };
        let divided = threads.iter().map(|&(thread, used)| Faults {
            thread: ThreadId(thread),
            reads: count(faults.reads, used),
            writes: count(faults.writes, used),
            stall: Nanos(part(faults.stall.0, used)),
            ..*faults
        });
        divided.collect()
    }
}

#[cfg(test)]
mod tests {
    use giantvm_core::NodeId;
    use giantvm_sched::schedule::{Machine, PageGroup};

    use super::*;
    use crate::watch::Thread;

    fn look(threads: &[(u32, usize, u64)], busy: &[(usize, u64)]) -> Look {
        let threads = threads
            .iter()
            .map(|&(thread, cpu, used)| (thread, Thread { cpu, used }));
        Look {
            threads: threads.collect(),
            busy: busy.iter().copied().collect(),
        }
    }

    fn faults(vcpu: u32) -> Faults {
        Faults {
            thread: ThreadId(vcpu),
            group: PageGroup(4),
            reads: 100,
            writes: 1,
            stall: Nanos(1_000_000),
            home: NodeId::ZERO,
        }
    }

    fn shares(before: &Look, now: &Look) -> Shares {
        Shares::new(before, now, &Cpus::new("", &Machine::new(&[1, 1]).unwrap()))
    }

    #[test]
    fn faults_are_divided_by_the_time_that_threads_used() {
        let before = look(&[(7, 0, 500), (8, 0, 100), (9, 1, 0)], &[]);
        let now = look(&[(7, 0, 800), (8, 0, 200), (9, 1, 5), (10, 1, 0)], &[]);
        let shares = shares(&before, &now);
        let parts = shares.divide(&faults(0));
        let parts: Vec<_> = parts
            .iter()
            .map(|of| (of.thread.0, of.reads, of.writes, of.stall.0))
            .collect();
        assert_eq!(parts, [(7, 75, 1, 750_000), (8, 25, 1, 250_000)]);
        assert_eq!(
            shares.divide(&faults(1)).len(),
            1,
            "who used nothing has no share"
        );
        assert_eq!(shares.divide(&faults(5)), []);
        assert_eq!(shares.foremost().collect::<Vec<_>>(), [(0, 7), (1, 9)]);
    }

    #[test]
    fn what_others_used_is_their_share() {
        let before = look(&[(7, 0, 0)], &[(0, 1000)]);
        let now = look(&[(7, 0, 250)], &[(0, 2000)]);
        let parts = shares(&before, &now).divide(&faults(0));
        assert_eq!((parts[0].reads, parts[0].stall), (25, Nanos(250_000)));
    }
}
