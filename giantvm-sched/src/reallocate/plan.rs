//! What a policy says.

use giantvm_core::VcpuId;

use super::ids::{HostId, VmId};
use crate::schedule::Nanos;

/// What of a machine goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// One vCPU, or the threads that are to run there. Pages follow as they are used.
    Vcpu(VcpuId),
    /// All that the machine has on the host, with its memory. Of a machine on one host that is the
    /// whole.
    Slice,
}

/// What a move takes, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Time of vCPUs and of the hosts' processors that is lost, added up.
    pub lost: Nanos,
    /// Of it, time that each vCPU that moves stands still or waits.
    pub waits: Nanos,
    /// Until what moves runs on the other host.
    pub took: Nanos,
    /// Bytes that go over the link.
    pub bytes: u64,
}

/// Something that goes from one host to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Of which machine.
    pub vm: VmId,
    /// What.
    pub what: What,
    /// Where it is.
    pub from: HostId,
    /// Where it is to run.
    pub to: HostId,
    /// Lost time that it is expected to save, in ns a second.
    pub gain: u64,
    /// What it is expected to take.
    pub cost: Cost,
}
