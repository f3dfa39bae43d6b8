//! What a run of one node is about.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use giantvm_sched::ClusterSpec;
use giantvm_transport::SameHost;

use crate::cli::VcpuKind;
use crate::guest::{Guest, Plan};
use crate::linux::keyboard::Keyboard;
use crate::memory::Memory;
use crate::node;
use crate::view::Show;
use crate::work::Work;

/// Where memory is that has the same addresses in all processes: far from what the system puts at the ends
/// of a process's addresses.
const MEMORY_AT: usize = 0x2000_0000_0000;

/// What a run of one node is about.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) spec: ClusterSpec,
    pub(crate) plan: Plan,
    pub(crate) memory: Memory,
    /// Whether all nodes are on this host.
    pub(crate) one_host: bool,
    /// How nodes of one host talk to one another.
    pub(crate) same_host: SameHost,
    /// Where what the user types comes from.
    pub(crate) keyboard: Keyboard,
    /// Where the first node shows the run while it lasts.
    pub(crate) top: Option<Show>,
    /// Where the first node takes orders while it runs.
    pub(crate) control: Option<PathBuf>,
}

impl Task {
    /// Where the memory has to be in every node's process: threads that are carried by processes find their
    /// stacks, and what they left there, at the same addresses in all of them.
    pub(crate) fn same_addresses(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(MEMORY_AT).filter(|_| self.shares_stacks())
    }

    /// Where the program is in this process, if that has to be the same in all of them.
    pub(crate) fn code_address(&self) -> Option<usize> {
        self.shares_stacks()
            .then_some(node::run as *const () as usize)
    }

    /// Why vCPUs have to stay on the nodes where they start, if they have to.
    pub(crate) fn keeps_vcpus(&self) -> Option<&'static str> {
        if self.plan.vcpu == VcpuKind::Thread {
            return Some("what threads that stand for vCPUs run is on their stacks");
        }
        if Guest::threads(&self.plan) > 0 {
            return Some("the guest's threads are scheduled by where vCPUs started");
        }
        match &self.plan.work {
            Work::Linux(options) if options.channel().is_some() => {
                Some("the guest is told by its channel where vCPUs started")
            }
            Work::Linux(_) | Work::Programs(_) => None,
        }
    }

    fn shares_stacks(&self) -> bool {
        self.plan.vcpu == VcpuKind::Thread && Guest::threads(&self.plan) > 0
    }
}
