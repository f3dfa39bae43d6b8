//! What all vCPUs of a host share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use giantvm_core::VcpuId;
use kvm_ioctls::VmFd;
use libc::pthread_t;

use super::image::Image;
use super::kick;
use super::memory::{PrivatePages, Slots};
use super::pins::Pins;
use crate::gate::Gate;
use crate::host::InterruptSink;
use crate::layout::Layout;

/// One node's view of the machine on KVM.
pub(super) struct Machine {
    /// Before the private pages, which it maps: dropped first.
    pub(super) vm: VmFd,
    pub(super) layout: Layout,
    pub(super) slots: Slots,
    pub(super) pins: Pins,
    /// The frequency of time-stamp counters, if KVM knows it.
    pub(super) tsc_khz: Option<u32>,
    pub(super) image: Image,
    #[expect(dead_code, reason = "held for as long as the VM maps it")]
    pub(super) private: PrivatePages,
    /// The model-specific registers that belong to a vCPU's state.
    pub(super) msrs: Vec<u32>,
    pub(super) sink: Arc<dyn InterruptSink>,
    /// One a vCPU of the whole machine.
    pub(super) gates: Vec<Gate<pthread_t>>,
    pub(super) stopping: AtomicBool,
}

impl Machine {
    /// The gate of a vCPU, which is one of the machine's.
    pub(super) fn gate(&self, id: VcpuId) -> &Gate<pthread_t> {
        &self.gates[id.index()]
    }

    pub(super) fn kick(&self, id: VcpuId) {
        self.gate(id).kick(kick::signal);
    }

    /// Whether the proxies' threads have to end.
    pub(super) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Makes the proxies' threads end.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for id in self.layout.all().filter(|&id| !self.layout.is_local(id)) {
            self.kick(id);
        }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}
