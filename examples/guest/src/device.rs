//! The scratch device that the io program tests a machine's device access with.

use crate::abi;

/// Registers of a bank.
const REGISTERS: usize = 512;

#[derive(Debug, Clone, Copy, Default)]
struct Register {
    value: u64,
    reads: u64,
}

/// Two banks of registers whose readings tell how often they were accessed.
///
/// A register reads as the value written last times a constant, plus the number of times it has
/// been read, this one included. The register [`abi::SCRATCH_TOTAL`] of the memory bank reads as
/// the number of accesses to all others. The machine has one such device, on one of its nodes.
///
/// ```
/// use giantvm_guest::{abi, device::Scratch};
///
/// let mut device = Scratch::default();
/// device.mmio_write(8 * 5, 2);
/// assert_eq!(device.mmio_read(8 * 5), abi::SCRATCH_FACTOR.wrapping_mul(2).wrapping_add(1));
/// assert_eq!(device.mmio_read(8 * abi::SCRATCH_TOTAL), 2);
/// ```
#[derive(Debug)]
pub struct Scratch {
    memory: [Register; REGISTERS],
    port: [Register; REGISTERS / 2],
    accesses: u64,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            memory: [Register::default(); REGISTERS],
            port: [Register::default(); REGISTERS / 2],
            accesses: 0,
        }
    }
}

impl Scratch {
    /// Accesses so far, but those to [`abi::SCRATCH_TOTAL`].
    #[must_use]
    pub const fn accesses(&self) -> u64 {
        self.accesses
    }

    /// A 64-bit read at `offset` from [`abi::MMIO_SCRATCH`]. All ones where there is no register.
    pub fn mmio_read(&mut self, offset: u64) -> u64 {
        if offset == 8 * abi::SCRATCH_TOTAL {
            return self.accesses;
        }
        let Some(register) = aligned(offset, 8).and_then(|at| self.memory.get_mut(at)) else {
            return u64::MAX;
        };
        self.accesses += 1;
        register.reads += 1;
        register
            .value
            .wrapping_mul(abi::SCRATCH_FACTOR)
            .wrapping_add(register.reads)
    }

    /// A 64-bit write at `offset` from [`abi::MMIO_SCRATCH`]. Lost where there is no register.
    pub fn mmio_write(&mut self, offset: u64, value: u64) {
        if offset == 8 * abi::SCRATCH_TOTAL {
            return;
        }
        if let Some(register) = aligned(offset, 8).and_then(|at| self.memory.get_mut(at)) {
            self.accesses += 1;
            register.value = value;
        }
    }

    /// A 32-bit read at `offset` from [`abi::PORT_SCRATCH`]. All ones where there is no register.
    pub fn port_read(&mut self, offset: u16) -> u32 {
        let at = aligned(u64::from(offset), 4);
        let Some(register) = at.and_then(|at| self.port.get_mut(at)) else {
            return u32::MAX;
        };
        self.accesses += 1;
        register.reads += 1;
        let [value, reads] = [register.value, register.reads].map(low);
        value
            .wrapping_mul(abi::SCRATCH_FACTOR_PORT)
            .wrapping_add(reads)
    }

    /// A 32-bit write at `offset` from [`abi::PORT_SCRATCH`]. Lost where there is no register.
    pub fn port_write(&mut self, offset: u16, value: u32) {
        let at = aligned(u64::from(offset), 4);
        if let Some(register) = at.and_then(|at| self.port.get_mut(at)) {
            self.accesses += 1;
            register.value = u64::from(value);
        }
    }
}

/// The register at an offset, if one starts there.
fn aligned(offset: u64, width: u64) -> Option<usize> {
    usize::try_from(offset / width)
        .ok()
        .filter(|_| offset.is_multiple_of(width))
}

fn low(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_read_shows_in_the_next() {
        let mut device = Scratch::default();
        device.port_write(4, 3);
        let first = device.port_read(4);
        assert_eq!(device.port_read(4), first.wrapping_add(1));
        assert_eq!(device.accesses(), 3);
    }

    #[test]
    fn there_is_nothing_between_or_after_the_registers() {
        let mut device = Scratch::default();
        for offset in [1, 4, 4096, u64::MAX] {
            device.mmio_write(offset, 1);
            assert_eq!(device.mmio_read(offset), u64::MAX);
        }
        for offset in [2, abi::PORT_SCRATCH_LEN, u16::MAX] {
            device.port_write(offset, 1);
            assert_eq!(device.port_read(offset), u32::MAX);
        }
        assert_eq!(device.accesses(), 0);
    }
}
