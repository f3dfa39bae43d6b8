//! Registers that prove that every access came, and came once.

use giantvm_core::AccessSize;

use crate::{Device, DeviceError, Origin};

/// Registers of the bank of 64-bit registers, without the count.
const WIDE: usize = 511;
/// Registers of the bank of 32-bit registers.
const NARROW: usize = 256;

/// What registers are multiplied with (modulo their size) when they are read, so that a value which
/// was never at the device does not pass for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScratchFactors {
    /// For the 64-bit registers.
    pub wide: u64,
    /// For the 32-bit registers.
    pub narrow: u32,
}

impl ScratchFactors {
    /// Registers read as they were written, plus the number of their readings.
    pub const NONE: Self = Self { wide: 1, narrow: 1 };
}

/// A device for tests: a bank of 64-bit registers and one of 32-bit registers, all zero at first,
/// and a count of the accesses to them.
///
/// | offset | size | what |
/// |---|---|---|
/// | 0 to 0xff0 | 8 | 511 registers |
/// | 0xff8 | 8 | read only: how many accesses the registers of both banks have had |
/// | [`NARROW`](Self::NARROW) to +0x3fc | 4 | 256 registers |
///
/// A register reads as what was written last times its bank's factor, plus how often it has been
/// read, this time included: an access that is lost or comes twice shows in the next reading.
/// Reading the count is not counted, and neither is what is refused.
///
/// ```
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_io::devices::{ScratchDevice, ScratchFactors};
/// use giantvm_io::{AccessSize, Device, Origin};
///
/// let mut scratch = ScratchDevice::new(ScratchFactors { wide: 3, narrow: 5 });
/// let origin = Origin { node: NodeId::ZERO, vcpu: VcpuId::BOOT };
/// scratch.write(origin, 8, AccessSize::Qword, 7)?;
/// assert_eq!(scratch.read(origin, 8, AccessSize::Qword)?, 7 * 3 + 1);
/// assert_eq!(scratch.read(origin, ScratchDevice::COUNT, AccessSize::Qword)?, 2);
/// # Ok::<(), giantvm_io::DeviceError>(())
/// ```
#[derive(Debug)]
pub struct ScratchDevice {
    factors: ScratchFactors,
    wide: [Register<u64>; WIDE],
    narrow: [Register<u32>; NARROW],
    count: u64,
}

#[derive(Debug, Clone, Copy)]
struct Register<T> {
    value: T,
    reads: T,
}

/// A register of either bank.
enum Found<'a> {
    Wide(&'a mut Register<u64>),
    Narrow(&'a mut Register<u32>),
}

impl ScratchDevice {
    /// Bytes of the bank of 64-bit registers, which is at offset 0.
    pub const WIDE_BYTES: u64 = 8 * (WIDE as u64 + 1);
    /// Offset of the count.
    pub const COUNT: u64 = 8 * WIDE as u64;
    /// Offset of the bank of 32-bit registers; [`Window::showing`](crate::Window::showing) it maps
    /// them to ports.
    pub const NARROW: u64 = Self::WIDE_BYTES;
    /// Bytes of the bank of 32-bit registers.
    pub const NARROW_BYTES: u64 = 4 * NARROW as u64;

    /// A device with all registers zero.
    #[must_use]
    pub const fn new(factors: ScratchFactors) -> Self {
        Self {
            factors,
            wide: [Register { value: 0, reads: 0 }; WIDE],
            narrow: [Register { value: 0, reads: 0 }; NARROW],
            count: 0,
        }
    }

    fn register(&mut self, offset: u64, size: AccessSize) -> Result<Found<'_>, DeviceError> {
        let bytes = size.bytes() as u64;
        let aligned = offset.is_multiple_of(bytes);
        let index = |from: u64| usize::try_from((offset - from) / bytes).ok();
        let register = match (size, offset < Self::NARROW) {
            _ if !aligned => None,
            (AccessSize::Qword, true) => index(0)
                .and_then(|index| self.wide.get_mut(index))
                .map(Found::Wide),
            (AccessSize::Dword, false) => index(Self::NARROW)
                .and_then(|index| self.narrow.get_mut(index))
                .map(Found::Narrow),
            _ => None,
        };
        self.count = self.count.wrapping_add(register.is_some().into());
        register.ok_or(DeviceError::Unsupported)
    }
}

impl Device for ScratchDevice {
    fn name(&self) -> &str {
        "scratch"
    }

    fn read(&mut self, _: Origin, offset: u64, size: AccessSize) -> Result<u64, DeviceError> {
        if (offset, size) == (Self::COUNT, AccessSize::Qword) {
            return Ok(self.count);
        }
        let factors = self.factors;
        Ok(match self.register(offset, size)? {
            Found::Wide(register) => {
                register.reads = register.reads.wrapping_add(1);
                let product = register.value.wrapping_mul(factors.wide);
                product.wrapping_add(register.reads)
            }
            Found::Narrow(register) => {
                register.reads = register.reads.wrapping_add(1);
                let product = register.value.wrapping_mul(factors.narrow);
                product.wrapping_add(register.reads).into()
            }
        })
    }

    fn write(
        &mut self,
        _: Origin,
        offset: u64,
        size: AccessSize,
        value: u64,
    ) -> Result<(), DeviceError> {
        match self.register(offset, size)? {
            Found::Wide(register) => register.value = value,
            Found::Narrow(register) => {
                register.value = u32::try_from(value).map_err(|_| DeviceError::Unsupported)?;
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        *self = Self::new(self.factors);
    }
}

#[cfg(test)]
mod tests {
    use giantvm_core::{NodeId, VcpuId};

    use super::*;

    const ORIGIN: Origin = Origin {
        node: NodeId::ZERO,
        vcpu: VcpuId::BOOT,
    };
    const FACTORS: ScratchFactors = ScratchFactors {
        wide: 0x9e37_79b9_7f4a_7c15,
        narrow: 0x9e37_79b1,
    };

    #[test]
    fn every_register_of_both_banks_holds_its_own_value() {
        let mut scratch = ScratchDevice::new(FACTORS);
        let wide = (0..ScratchDevice::COUNT).step_by(8);
        let narrow =
            (ScratchDevice::NARROW..ScratchDevice::NARROW + ScratchDevice::NARROW_BYTES).step_by(4);
        for offset in wide.clone() {
            scratch
                .write(ORIGIN, offset, AccessSize::Qword, offset << 40 | 1)
                .unwrap();
        }
        for offset in narrow.clone() {
            scratch
                .write(ORIGIN, offset, AccessSize::Dword, offset << 16 | 1)
                .unwrap();
        }
        for offset in wide {
            let value = (offset << 40 | 1).wrapping_mul(FACTORS.wide);
            let read = scratch.read(ORIGIN, offset, AccessSize::Qword);
            assert_eq!(read, Ok(value.wrapping_add(1)));
            let again = scratch.read(ORIGIN, offset, AccessSize::Qword);
            assert_eq!(again, Ok(value.wrapping_add(2)));
        }
        for offset in narrow {
            let value = ((offset << 16 | 1) * u64::from(FACTORS.narrow) + 1) & 0xffff_ffff;
            assert_eq!(scratch.read(ORIGIN, offset, AccessSize::Dword), Ok(value));
        }
        let count = scratch.read(ORIGIN, ScratchDevice::COUNT, AccessSize::Qword);
        assert_eq!(count, Ok(3 * 511 + 2 * 256));
        scratch.reset();
        assert_eq!(
            scratch.read(ORIGIN, ScratchDevice::COUNT, AccessSize::Qword),
            Ok(0)
        );
    }

    #[test]
    fn what_is_refused_is_not_counted() {
        let mut scratch = ScratchDevice::new(FACTORS);
        for (offset, size) in [
            (4, AccessSize::Qword),
            (0, AccessSize::Dword),
            (ScratchDevice::NARROW, AccessSize::Qword),
            (ScratchDevice::NARROW + 2, AccessSize::Dword),
            (
                ScratchDevice::NARROW + ScratchDevice::NARROW_BYTES,
                AccessSize::Dword,
            ),
            (u64::MAX - 3, AccessSize::Dword),
        ] {
            assert_eq!(
                scratch.read(ORIGIN, offset, size),
                Err(DeviceError::Unsupported)
            );
        }
        let count = scratch.write(ORIGIN, ScratchDevice::COUNT, AccessSize::Qword, 1);
        assert_eq!(count, Err(DeviceError::Unsupported));
        assert_eq!(
            scratch.read(ORIGIN, ScratchDevice::COUNT, AccessSize::Qword),
            Ok(0)
        );
    }
}
