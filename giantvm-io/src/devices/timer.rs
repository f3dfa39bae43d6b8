//! The ACPI power management timer.

use std::fmt;

use giantvm_core::AccessSize;

use crate::{Device, DeviceError, Origin};

/// How often it counts in a second.
const FREQUENCY: u128 = 3_579_545;
const NANOSECONDS: u128 = 1_000_000_000;

/// ACPI's timer: four bytes that count up with 3.579545 MHz, 32 bits of it.
///
/// ```
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_io::devices::TimerDevice;
/// use giantvm_io::{AccessSize, Device, Origin};
///
/// let mut timer = TimerDevice::new(|| 2_000_000_000);
/// let origin = Origin { node: NodeId::ZERO, vcpu: VcpuId::BOOT };
/// assert_eq!(timer.read(origin, 0, AccessSize::Dword), Ok(7_159_090));
/// ```
pub struct TimerDevice {
    now: Box<dyn FnMut() -> u64 + Send>,
}

impl TimerDevice {
    /// Bytes of its register.
    pub const BYTES: u64 = 4;

    /// A timer that counts by what `now` gives, in nanoseconds.
    pub fn new(now: impl FnMut() -> u64 + Send + 'static) -> Self {
        Self { now: Box::new(now) }
    }
}

impl fmt::Debug for TimerDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerDevice").finish_non_exhaustive()
    }
}

impl Device for TimerDevice {
    fn name(&self) -> &str {
        "timer"
    }

    fn read(&mut self, _: Origin, offset: u64, size: AccessSize) -> Result<u64, DeviceError> {
        if (offset, size) != (0, AccessSize::Dword) {
            return Err(DeviceError::Unsupported);
        }
        let count = u128::from((self.now)()) * FREQUENCY / NANOSECONDS;
        // At most 64 bits times 0.0036.
        Ok(size.truncate(u64::try_from(count).unwrap_or(u64::MAX)))
    }

    fn write(&mut self, _: Origin, _: u64, _: AccessSize, _: u64) -> Result<(), DeviceError> {
        Err(DeviceError::Unsupported)
    }
}
