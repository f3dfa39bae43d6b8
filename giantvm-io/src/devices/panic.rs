//! How the guest tells that its kernel panicked.

use std::fmt;

use giantvm_core::AccessSize;

use super::PowerEvent;
use crate::{Device, DeviceError, Origin};

/// The one event that is taken: a panic, of which the guest makes nothing more.
const PANICKED: u64 = 1;

/// The pvpanic device: one port, which reads as the events it takes. Linux finds it by the DSDT's
/// `QEMU0001` and writes what happened to it.
///
/// A panic is told once, until the machine is reset: whatever else vCPUs do on their way down comes
/// after it.
///
/// ```
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_io::devices::{PanicDevice, PowerEvent};
/// use giantvm_io::{AccessSize, Device, Origin};
///
/// let (events, seen) = std::sync::mpsc::channel();
/// let mut device = PanicDevice::new(move |origin, event| events.send((origin, event)).unwrap());
/// let origin = Origin { node: NodeId::ZERO, vcpu: VcpuId::BOOT };
/// for _ in 0..2 {
///     device.write(origin, 0, AccessSize::Byte, 1)?;
/// }
/// drop(device);
/// assert_eq!(seen.iter().collect::<Vec<_>>(), [(origin, PowerEvent::Panic)]);
/// # Ok::<(), giantvm_io::DeviceError>(())
/// ```
pub struct PanicDevice {
    notify: Box<dyn FnMut(Origin, PowerEvent) + Send>,
    told: bool,
}

impl PanicDevice {
    /// Bytes of its register.
    pub const BYTES: u64 = 1;
    /// Where common virtual machines have it.
    pub const PORT: u16 = 0x505;

    /// A device that tells `notify` of the guest's first panic, and which vCPU did.
    pub fn new(notify: impl FnMut(Origin, PowerEvent) + Send + 'static) -> Self {
        Self {
            notify: Box::new(notify),
            told: false,
        }
    }
}

impl fmt::Debug for PanicDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("PanicDevice");
        debug.field("told", &self.told).finish_non_exhaustive()
    }
}

impl Device for PanicDevice {
    fn name(&self) -> &str {
        "panic"
    }

    fn read(&mut self, _: Origin, _: u64, size: AccessSize) -> Result<u64, DeviceError> {
        match size {
            AccessSize::Byte => Ok(PANICKED),
            _ => Err(DeviceError::Unsupported),
        }
    }

    fn write(
        &mut self,
        origin: Origin,
        _: u64,
        size: AccessSize,
        value: u64,
    ) -> Result<(), DeviceError> {
        if size != AccessSize::Byte {
            return Err(DeviceError::Unsupported);
        }
        if value & PANICKED != 0 && !std::mem::replace(&mut self.told, true) {
            (self.notify)(origin, PowerEvent::Panic);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.told = false;
    }
}
