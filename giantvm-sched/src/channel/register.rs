//! What is where in the window.

use giantvm_core::VcpuId;

use super::layout::{
    PAGE, REGISTER_EVENT, REGISTER_FEATURES, REGISTER_GENERATION, REGISTER_MAGIC, REGISTER_NODE,
    REGISTER_READS, REGISTER_STALL, REGISTER_TAKE, REGISTER_THREAD, REGISTER_VCPUS,
    REGISTER_WRITES, VCPU_PAGES, WINDOW, WINDOW_SNAPSHOT, vcpu_page,
};

/// A register of the window. All are 8 bytes wide.
///
/// ```
/// use giantvm_sched::channel::{Register, layout};
///
/// assert_eq!(Register::at(layout::REGISTER_TAKE), Some(Register::Take));
/// assert_eq!(Register::at(layout::REGISTER_TAKE + 1), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// Reads as magic and version.
    Magic,
    /// Reads as features.
    Features,
    /// Reads as the number of vCPUs.
    Vcpus,
    /// Reads as a new snapshot's length.
    Take,
    /// Reads as the snapshot's generation.
    Generation,
    /// Takes an event.
    Event,
    /// One of a vCPU's own.
    Vcpu(VcpuId, VcpuRegister),
    /// Reads as eight bytes of the snapshot from this offset on, a multiple of 8.
    Snapshot(usize),
}

/// A register in a vCPU's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VcpuRegister {
    /// Reads as faults of loads.
    Reads,
    /// Reads as faults of stores.
    Writes,
    /// Reads as their stall, in ns.
    Stall,
    /// Reads as the node.
    Node,
    /// Takes the thread that runs.
    Thread,
}

impl Register {
    /// The register at an offset into the window, if one begins there.
    #[must_use]
    pub fn at(offset: u64) -> Option<Self> {
        if !offset.is_multiple_of(8) || offset >= WINDOW {
            return None;
        }
        if let Some(into) = offset.checked_sub(WINDOW_SNAPSHOT) {
            return usize::try_from(into).ok().map(Self::Snapshot);
        }
        if let Some(into) = offset.checked_sub(VCPU_PAGES) {
            let vcpu = u8::try_from(into / PAGE).ok()?;
            let register = match into % PAGE {
                REGISTER_READS => VcpuRegister::Reads,
                REGISTER_WRITES => VcpuRegister::Writes,
                REGISTER_STALL => VcpuRegister::Stall,
                REGISTER_NODE => VcpuRegister::Node,
                REGISTER_THREAD => VcpuRegister::Thread,
                _ => return None,
            };
            return Some(Self::Vcpu(VcpuId::new(vcpu).ok()?, register));
        }
        Some(match offset {
            REGISTER_MAGIC => Self::Magic,
            REGISTER_FEATURES => Self::Features,
            REGISTER_VCPUS => Self::Vcpus,
            REGISTER_TAKE => Self::Take,
            REGISTER_GENERATION => Self::Generation,
            REGISTER_EVENT => Self::Event,
            _ => return None,
        })
    }

    /// Where it is.
    #[must_use]
    pub const fn offset(self) -> u64 {
        match self {
            Self::Magic => REGISTER_MAGIC,
            Self::Features => REGISTER_FEATURES,
            Self::Vcpus => REGISTER_VCPUS,
            Self::Take => REGISTER_TAKE,
            Self::Generation => REGISTER_GENERATION,
            Self::Event => REGISTER_EVENT,
            Self::Snapshot(into) => WINDOW_SNAPSHOT + into as u64,
            Self::Vcpu(vcpu, register) => {
                let into = match register {
                    VcpuRegister::Reads => REGISTER_READS,
                    VcpuRegister::Writes => REGISTER_WRITES,
                    VcpuRegister::Stall => REGISTER_STALL,
                    VcpuRegister::Node => REGISTER_NODE,
                    VcpuRegister::Thread => REGISTER_THREAD,
                };
                vcpu_page(vcpu.get()) + into
            }
        }
    }
}
