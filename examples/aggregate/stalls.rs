//! What this node's vCPUs wait for.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use giantvm_core::VcpuId;
use giantvm_dsm::engine::{STALL_GROUP, Stalls};
use giantvm_sched::schedule::GroupSize;
use serde::{Deserialize, Serialize};

/// Groups that a node tells of: more than are told on, so that few sharers of those are missed.
pub(crate) const HOTTEST: usize = 512;

const _: () = assert!(GroupSize::DEFAULT.pages() == STALL_GROUP);

/// Which thread of this process runs which vCPU, and how their time passes.
#[derive(Debug)]
pub(crate) struct VcpuThreads {
    vcpus: Mutex<BTreeMap<u32, VcpuId>>,
    /// How many times slower than the host's.
    slow_motion: NonZeroU8,
}

impl VcpuThreads {
    pub(crate) const fn new(slow_motion: NonZeroU8) -> Self {
        Self {
            vcpus: Mutex::new(BTreeMap::new()),
            slow_motion,
        }
    }

    /// How long `time` of the host is for the guest, which has no other time to compare with.
    pub(crate) fn guest_time(&self, time: Duration) -> Duration {
        time / u32::from(self.slow_motion.get())
    }

    /// Notes that the calling thread runs a vCPU from now on.
    pub(crate) fn enter(&self, vcpu: VcpuId) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.map().insert(thread.unsigned_abs(), vcpu);
    }

    /// Notes that the calling thread runs none any more: its number may become another thread's.
    pub(crate) fn leave(&self) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.map().remove(&thread.unsigned_abs());
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<u32, VcpuId>> {
        self.vcpus.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one vCPU waited for other nodes, since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VcpuStall {
    pub(crate) vcpu: u8,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) nanos: u64,
}

/// What one vCPU waited for one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupStall {
    pub(crate) group: u64,
    pub(crate) vcpu: u8,
    pub(crate) reads: u32,
    pub(crate) writes: u32,
    pub(crate) nanos: u64,
    pub(crate) recent: u32,
}

/// What a node's vCPUs wait for. Devices' threads are left out: they cannot be placed by a guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeStalls {
    pub(crate) vcpus: Vec<VcpuStall>,
    pub(crate) groups: Vec<GroupStall>,
}

impl NodeStalls {
    pub(crate) fn new(stalls: &Stalls, threads: &VcpuThreads) -> Self {
        let map = threads.map();
        let vcpu = |thread: u32| map.get(&thread).map(|vcpu| vcpu.get());
        let nanos = |stall| nanos(threads.guest_time(stall));
        let vcpus = stalls.threads.iter().filter_map(|of| {
            Some(VcpuStall {
                vcpu: vcpu(of.thread)?,
                reads: of.reads,
                writes: of.writes,
                nanos: nanos(of.stall),
            })
        });
        let groups = stalls.groups.iter().filter_map(|of| {
            Some(GroupStall {
                group: of.first.0 / STALL_GROUP,
                vcpu: vcpu(of.thread)?,
                reads: of.reads,
                writes: of.writes,
                nanos: nanos(of.stall),
                recent: of.recent,
            })
        });
        Self {
            vcpus: vcpus.collect(),
            groups: groups.collect(),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_in_slow_motion_is_told_of_its_own_time() {
        let threads = VcpuThreads::new(NonZeroU8::new(24).unwrap());
        let time = threads.guest_time(Duration::from_micros(2400));
        assert_eq!(time, Duration::from_micros(100));
    }
}
