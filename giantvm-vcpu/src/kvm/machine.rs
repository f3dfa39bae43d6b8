//! What all vCPUs of a host share.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use giantvm_core::{Msi, VcpuId};
use kvm_bindings::kvm_msi;
use kvm_ioctls::VmFd;

use super::image::Image;
use super::kick::{self, Thread};
use super::memory::{PrivatePages, Slots};
use super::pins::Pins;
use super::proxies::Proxies;
use crate::error::VcpuError;
use crate::gate::Gate;
use crate::host::InterruptSink;
use crate::interrupt::Interrupt;
use crate::layout::Places;
use crate::state::ArchState;

/// One node's view of the machine on KVM.
pub(super) struct Machine {
    /// Before the private pages, which proxies are in: dropped first.
    pub(super) proxies: Proxies,
    /// Before the private pages, which it maps: dropped first.
    pub(super) vm: VmFd,
    pub(super) places: Places,
    /// Held by who sends an interrupt to a vCPU of this node, see [`quiet`](super::quiet).
    pub(super) senders: RwLock<()>,
    pub(super) slots: Slots,
    pub(super) pins: Pins,
    /// The frequency of time-stamp counters, if KVM knows it.
    pub(super) tsc_khz: Option<u32>,
    pub(super) image: Image,
    #[expect(dead_code, reason = "held for as long as the VM maps it")]
    pub(super) private: PrivatePages,
    /// What each vCPU was before it ran anything, without model-specific registers; by vCPU number.
    pub(super) fresh: Vec<ArchState>,
    /// The model-specific registers that belong to a vCPU's state.
    pub(super) msrs: Vec<u32>,
    pub(super) sink: Arc<dyn InterruptSink>,
    /// One a vCPU of the whole machine.
    pub(super) gates: Vec<Gate<Thread>>,
    pub(super) stopping: AtomicBool,
}

impl Machine {
    /// The gate of a vCPU, which is one of the machine's.
    pub(super) fn gate(&self, id: VcpuId) -> &Gate<Thread> {
        &self.gates[id.index()]
    }

    pub(super) fn kick(&self, id: VcpuId) {
        self.gate(id).kick(kick::signal);
    }

    /// Whether the proxies' threads have to end.
    pub(super) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Interrupts a vCPU wherever it is, if it is one of the machine's.
    pub(super) fn inject(&self, target: VcpuId, interrupt: Interrupt) -> Result<(), VcpuError> {
        let senders = self.senders.read().unwrap_or_else(PoisonError::into_inner);
        let places = self.places.now();
        places
            .node_of(target)
            .ok_or(VcpuError::NoSuchVcpu(target))?;
        if places.is_local(target) {
            let msi = self.pins.as_sent(target, interrupt.to_msi(target));
            // A vCPU whose APIC is off takes no interrupt: that is no error of the sender.
            return self.deliver(msi).map(|_| ());
        }
        drop(senders);
        self.sink.forward(target, interrupt);
        Ok(())
    }

    /// Sends a message to this node's APICs, those of proxies among them, and says whether any took it.
    pub(super) fn send(&self, msi: Msi) -> Result<bool, VcpuError> {
        let _senders = self.senders.read().unwrap_or_else(PoisonError::into_inner);
        self.deliver(msi)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the address is given in two halves"
    )]
    fn deliver(&self, msi: Msi) -> Result<bool, VcpuError> {
        let delivered = self.vm.signal_msi(kvm_msi {
            address_lo: msi.address as u32,
            address_hi: (msi.address >> 32) as u32,
            data: msi.data,
            ..kvm_msi::default()
        });
        match delivered {
            Ok(count) => Ok(count > 0),
            Err(error) if error.errno() == libc::EINVAL => Err(VcpuError::BadMsi { msi }),
            Err(error) => Err(super::os("signalling an interrupt", error.errno())),
        }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}
