//! On which processors the nodes and their floors run.

use std::time::Duration;

use clap::ValueEnum;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Where the processes of the nodes run. Floors are measured by the same processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Place {
    /// Each on one processor: node a on the first, b on the second, c on the first again if there
    /// are two.
    Split,
    /// Wherever the kernel puts them.
    Free,
}

impl Place {
    /// Confines this thread, and all it will start, as node `number`.
    pub(crate) fn take(self, cpus: &[usize], number: usize) -> rustix::io::Result<()> {
        match (self, cpus) {
            (Self::Free, _) | (_, []) => Ok(()),
            (Self::Split, cpus) => confine(cpus[number % cpus.len()]),
        }
    }
}

/// The processors this thread may run on.
pub(crate) fn allowed() -> rustix::io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&cpu| set.is_set(cpu))
        .collect())
}

/// Lets this thread run on one processor only.
pub(crate) fn confine(cpu: usize) -> rustix::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set)
}

/// The processor time that all threads of this process took so far.
pub(crate) fn worked() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}
