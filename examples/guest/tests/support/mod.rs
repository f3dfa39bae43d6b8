//! The scratch device, as the tests' machines reach it.

use giantvm_core::{NodeId, VcpuId};
use giantvm_guest::abi;
use giantvm_io::devices::{ScratchDevice, ScratchFactors};
use giantvm_io::{AccessSize, Device, Origin};

/// Whoever accesses it; the device does not tell.
const ORIGIN: Origin = Origin {
    node: NodeId::ZERO,
    vcpu: VcpuId::BOOT,
};

/// The test device, with the factors that the guest expects.
pub(crate) struct Scratch(ScratchDevice);

impl Default for Scratch {
    fn default() -> Self {
        Self(ScratchDevice::new(ScratchFactors {
            wide: abi::SCRATCH_FACTOR,
            narrow: abi::SCRATCH_FACTOR_PORT,
        }))
    }
}

impl Scratch {
    pub(crate) fn port_read(&mut self, offset: u16) -> u32 {
        let at = ScratchDevice::NARROW + u64::from(offset);
        let value = self.0.read(ORIGIN, at, AccessSize::Dword).unwrap();
        u32::try_from(value).unwrap()
    }

    pub(crate) fn port_write(&mut self, offset: u16, value: u32) {
        let at = ScratchDevice::NARROW + u64::from(offset);
        let written = self.0.write(ORIGIN, at, AccessSize::Dword, value.into());
        written.unwrap();
    }

    pub(crate) fn mmio_read(&mut self, offset: u64) -> u64 {
        self.0.read(ORIGIN, offset, AccessSize::Qword).unwrap()
    }

    pub(crate) fn mmio_write(&mut self, offset: u64, value: u64) {
        self.0
            .write(ORIGIN, offset, AccessSize::Qword, value)
            .unwrap();
    }
}
