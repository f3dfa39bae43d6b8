//! What vCPUs do, and how long it takes.

use std::sync::Barrier;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use clap::ValueEnum;
use giantvm_sched::reallocate::Footprint;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::cgroup::{HOSTS, Hosts};
use crate::link::{self, Link};
use crate::side::Side;
use crate::vm::{self, PAGE, Size};
use crate::work::Work;

/// vCPUs of each machine. Each has its own part of the memory.
pub(crate) const VCPUS: usize = 2;
/// How long steps are done before it is measured how long one takes, and how long that is.
const WARM: Duration = Duration::from_millis(500);

/// What each vCPU does over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Load {
    /// Loads anywhere in 32 MiB, most in a fifth of it, and a store for every hundred, to 2 MiB.
    ReadMostly,
    /// Loads and stores anywhere in 32 MiB.
    WriteHeavy,
    /// Loads and stores in order, through 40 MiB.
    Streaming,
}

impl Load {
    const fn work(self) -> Work {
        match self {
            Self::ReadMostly => Work::ReadMostly,
            Self::WriteHeavy => Work::WriteHeavy,
            Self::Streaming => Work::Streaming,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        self.work().name()
    }

    /// One step, in the part of the memory that is the vCPU's.
    pub(crate) fn step(self, part: &[AtomicU64], size: Size) -> anyhow::Result<()> {
        self.work().step(part, size)
    }

    /// What a vCPU takes along, with so many bytes of memory that are not zero and so many steps a
    /// second. What it uses all the time and how often it stores is what [`Work`] says.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some megabytes a second"
    )]
    pub(crate) fn footprint(self, memory: u64, rate: f64) -> Footprint {
        let (hot, pages) = match self {
            Self::ReadMostly => (34 << 20, 200),
            Self::WriteHeavy => (32 << 20, 4000),
            Self::Streaming => (40 << 20, 128),
        };
        Footprint {
            memory,
            hot,
            stores: (rate * (pages * PAGE) as f64) as u64,
            // They share nothing, so they lose nothing by being apart.
            stall: 0,
            in_step: false,
        }
    }

    /// The processor time that a step takes while all vCPUs work, as many on each host: they share more
    /// than memory.
    pub(crate) fn cost(self, hosts: &Hosts, size: Size) -> anyhow::Result<Duration> {
        const THREADS: usize = HOSTS * VCPUS;
        let (ends, all) = (link::ends(Link::Inproc)?, Barrier::new(THREADS));
        // Of small pages, as nodes have them, and not of huge ones as others may be.
        let nodes = [Side::new(0, &ends[0], size)?, Side::new(1, &ends[1], size)?];
        std::thread::scope(|scope| {
            let threads: [_; THREADS] = std::array::from_fn(|thread| {
                let (host, vcpu) = (thread / VCPUS, thread % VCPUS);
                let (hosts, node, all) = (&hosts.hosts[host], &nodes[host], &all);
                scope.spawn(move || {
                    let entered = hosts.enter();
                    all.wait();
                    entered?;
                    let part = part(node.words(), vcpu);
                    self.steps(part, size)?;
                    self.steps(part, size)
                })
            });
            let mut sum = Duration::ZERO;
            for thread in threads {
                sum += thread.join().map_err(|_| anyhow!("a step panicked"))??;
            }
            Ok(sum / u32::try_from(THREADS)?)
        })
    }

    /// What a step takes on average, as far as one can see in a moment.
    fn steps(self, part: &[AtomicU64], size: Size) -> anyhow::Result<Duration> {
        let (start, mut count) = (processor_time()?, 0);
        loop {
            self.step(part, size)?;
            count += 1;
            let took = processor_time()?.saturating_sub(start);
            if took >= WARM {
                return Ok(took / count);
            }
        }
    }

    /// Checks the parts of memory that began with so many pages that are not zero, each after so many
    /// steps. All parts are alike but for the steps, so each step is repeated only once.
    pub(crate) fn check(
        self,
        size: Size,
        used: u64,
        parts: &[(&[AtomicU64], u64)],
    ) -> anyhow::Result<()> {
        let mut parts = parts.to_vec();
        parts.sort_by_key(|(_, steps)| *steps);
        let Some((first, _)) = parts.first() else {
            return Ok(());
        };
        let expected = vm::plain(size);
        let expected = &expected[..first.len()];
        vm::fill(expected, used);
        let mut done = 0;
        for (part, steps) in parts {
            self.work().steps(expected, size, steps - done)?;
            done = steps;
            let wrong = vm::differs(part, expected);
            ensure!(
                wrong.is_none(),
                "page {wrong:?} is wrong after {steps} steps"
            );
        }
        Ok(())
    }
}

/// A vCPU's part of the memory.
pub(crate) fn part(words: &[AtomicU64], vcpu: usize) -> &[AtomicU64] {
    let each = words.len() / VCPUS;
    &words[vcpu * each..(vcpu + 1) * each]
}

/// What the calling thread has used so far.
pub(crate) fn processor_time() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::ThreadCPUTime).try_into()?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn parts_are_checked_each_after_its_own_steps() {
        let (size, load) = (Size::M128, Load::WriteHeavy);
        let memory = vm::plain(size);
        let parts = [0, 1].map(|vcpu| part(&memory, vcpu));
        for (part, steps) in parts.iter().zip([3, 1]) {
            vm::fill(part, 5);
            (0..steps).for_each(|_| load.step(part, size).unwrap());
        }
        let check =
            |steps: [u64; 2]| load.check(size, 5, &[(parts[0], steps[0]), (parts[1], steps[1])]);
        check([3, 1]).unwrap();
        assert!(check([3, 2]).is_err() && check([2, 1]).is_err());
        parts[1].last().unwrap().store(1, Ordering::Relaxed);
        assert!(check([3, 1]).is_err());
    }

    #[test]
    fn all_that_a_vcpu_uses_is_in_its_part() {
        // A step out of it would panic.
        let size = Size::M128;
        for &load in Load::value_variants() {
            let memory = vm::plain(size);
            (0..200).for_each(|_| load.step(part(&memory, 1), size).unwrap());
            assert_eq!(vm::differs(part(&memory, 0), &vm::plain(Size::M64)), None);
        }
    }
}
