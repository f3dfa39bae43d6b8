//! A clock that every vCPU reads from one place.

use std::collections::BTreeMap;
use std::fmt;

use giantvm_core::{AccessSize, VcpuId};

use crate::{Device, DeviceError, Origin};

/// A clock in nanoseconds: 8 bytes at offset 0, or the low half at 0 and the high half at 4.
///
/// Reading the low half keeps the high half for the same vCPU's next read of it, so the two belong
/// together. There is nothing to write.
///
/// ```
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_io::devices::ClockDevice;
/// use giantvm_io::{AccessSize, Device, Origin};
///
/// let mut clock = ClockDevice::new(|| 5 << 32 | 7);
/// let origin = Origin { node: NodeId::ZERO, vcpu: VcpuId::BOOT };
/// assert_eq!(clock.read(origin, 0, AccessSize::Qword), Ok(5 << 32 | 7));
/// assert_eq!(clock.read(origin, 0, AccessSize::Dword), Ok(7));
/// assert_eq!(clock.read(origin, 4, AccessSize::Dword), Ok(5));
/// ```
pub struct ClockDevice {
    now: Box<dyn FnMut() -> u64 + Send>,
    /// The high halves that were kept; at most one for each vCPU.
    kept: BTreeMap<VcpuId, u64>,
}

impl ClockDevice {
    /// Bytes of its registers.
    pub const BYTES: u64 = 8;

    /// A clock that shows what `now` gives, in nanoseconds.
    pub fn new(now: impl FnMut() -> u64 + Send + 'static) -> Self {
        Self {
            now: Box::new(now),
            kept: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for ClockDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClockDevice").finish_non_exhaustive()
    }
}

impl Device for ClockDevice {
    fn name(&self) -> &str {
        "clock"
    }

    fn read(&mut self, origin: Origin, offset: u64, size: AccessSize) -> Result<u64, DeviceError> {
        match (offset, size) {
            (0, AccessSize::Qword) => Ok((self.now)()),
            (0, AccessSize::Dword) => {
                let now = (self.now)();
                self.kept.insert(origin.vcpu, now >> 32);
                Ok(size.truncate(now))
            }
            (4, AccessSize::Dword) => match self.kept.remove(&origin.vcpu) {
                Some(high) => Ok(high),
                None => Ok((self.now)() >> 32),
            },
            _ => Err(DeviceError::Unsupported),
        }
    }

    fn write(&mut self, _: Origin, _: u64, _: AccessSize, _: u64) -> Result<(), DeviceError> {
        Err(DeviceError::Unsupported)
    }

    fn reset(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use giantvm_core::NodeId;

    use super::*;

    #[test]
    fn each_vcpu_keeps_its_own_high_half() {
        let mut now = 0xffff_ffff_u64;
        let mut clock = ClockDevice::new(move || {
            now += 0x8000_0000;
            now
        });
        let vcpu = |number| Origin {
            node: NodeId::ZERO,
            vcpu: VcpuId::new(number).unwrap(),
        };
        assert_eq!(clock.read(vcpu(0), 0, AccessSize::Dword), Ok(0x7fff_ffff));
        assert_eq!(clock.read(vcpu(1), 0, AccessSize::Dword), Ok(0xffff_ffff));
        assert_eq!(clock.read(vcpu(2), 0, AccessSize::Dword), Ok(0x7fff_ffff));
        let highs = [0, 1, 2].map(|number| clock.read(vcpu(number), 4, AccessSize::Dword));
        assert_eq!(highs, [Ok(1), Ok(1), Ok(2)]);
        assert_eq!(
            clock.read(vcpu(0), 4, AccessSize::Dword),
            Ok(2),
            "nothing is kept: now"
        );
        assert!(clock.read(vcpu(0), 4, AccessSize::Qword).is_err());
        assert!(clock.write(vcpu(0), 0, AccessSize::Qword, 0).is_err());
    }
}
