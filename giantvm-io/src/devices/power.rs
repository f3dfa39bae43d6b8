//! The end of the machine, as the guest asks for it.

use std::fmt;

use giantvm_core::AccessSize;

use crate::{Device, DeviceError, Origin};

/// What the guest asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PowerEvent {
    /// To end with this status.
    Exit(u32),
    /// To start again.
    Reset,
    /// To be switched off.
    Shutdown,
    /// Nothing: its kernel panicked.
    Panic,
}

/// The power device. Its registers are for writing only:
///
/// | offset | size | value | event |
/// |---|---|---|---|
/// | 0 | 4 | any | [`PowerEvent::Exit`] with it as the status |
/// | 0 | 2 | with bit 13 (SLP_EN) and bits 12..10 (SLP_TYP) zero | [`PowerEvent::Shutdown`], as ACPI's PM1 control register of common virtual machines |
/// | [`RESET`](Self::RESET) | 1 | with bit 2 | [`PowerEvent::Reset`], as the PC's reset control register at port 0xcf9 |
/// | [`SLEEP`](Self::SLEEP) | 1 | with bit 5 (SLP_EN) and bits 4..2 (SLP_TYP) [`SLEEP_TYPE`](Self::SLEEP_TYPE) | [`PowerEvent::Shutdown`], as the sleep control register of hardware-reduced ACPI |
/// | SLEEP + 1 | 1 | any | none: the sleep status register that belongs to it |
/// | [`KEYBOARD`](Self::KEYBOARD) | 1 | 0xfe | [`PowerEvent::Reset`], as the PC's keyboard controller at port 0x64 |
///
/// Other values are taken and mean nothing; all read as zero.
///
/// ```
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_io::devices::{PowerDevice, PowerEvent};
/// use giantvm_io::{AccessSize, Device, Origin};
///
/// let (events, seen) = std::sync::mpsc::channel();
/// let mut power = PowerDevice::new(move |origin, event| events.send((origin, event)).unwrap());
/// let origin = Origin { node: NodeId::ZERO, vcpu: VcpuId::BOOT };
/// power.write(origin, 0, AccessSize::Dword, 3)?;
/// assert_eq!(seen.recv(), Ok((origin, PowerEvent::Exit(3))));
/// # Ok::<(), giantvm_io::DeviceError>(())
/// ```
pub struct PowerDevice {
    notify: Box<dyn FnMut(Origin, PowerEvent) + Send>,
}

/// SLP_EN of ACPI's PM1 control register.
const PM1_SLEEP_ENABLE: u64 = 1 << 13;
/// SLP_TYP of the same.
const PM1_SLEEP_TYPE: u64 = 7 << 10;
/// What the sleep control register switches the machine off with.
const SLEEP_OFF: u64 = 1 << 5 | (PowerDevice::SLEEP_TYPE as u64) << 2;
/// SLP_EN and SLP_TYP of the sleep control register.
const SLEEP_FIELDS: u64 = 0xf << 2;
const SLEEP_STATUS: u64 = PowerDevice::SLEEP + 1;
/// The keyboard controller's command to reset the processor.
const KEYBOARD_RESET: u64 = 0xfe;
/// What makes the PC's reset control register reset.
const RESET_CPU: u64 = 1 << 2;

impl PowerDevice {
    /// Bytes of the exit and sleep register, at offset 0.
    pub const BYTES: u64 = 4;
    /// Offset of the one-byte reset register; [`Window::showing`](crate::Window::showing) it maps
    /// port 0xcf9.
    pub const RESET: u64 = 4;
    /// What resets the machine there, as the FADT says it.
    pub const RESET_VALUE: u8 = 0x06;
    /// Offset of the two one-byte sleep registers, control and status.
    pub const SLEEP: u64 = 5;
    /// The sleep type of S5, as the DSDT says it.
    pub const SLEEP_TYPE: u8 = 5;
    /// Offset of the one-byte command register of a keyboard controller that has no keyboard.
    pub const KEYBOARD: u64 = 7;

    /// A power device that tells `notify` what the guest asks for, and which vCPU does. The vCPU
    /// goes on until the machine is stopped.
    pub fn new(notify: impl FnMut(Origin, PowerEvent) + Send + 'static) -> Self {
        Self {
            notify: Box::new(notify),
        }
    }
}

impl fmt::Debug for PowerDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PowerDevice").finish_non_exhaustive()
    }
}

impl Device for PowerDevice {
    fn name(&self) -> &str {
        "power"
    }

    fn read(&mut self, _: Origin, offset: u64, size: AccessSize) -> Result<u64, DeviceError> {
        match (offset, size) {
            (0, AccessSize::Word) | (Self::RESET..=Self::KEYBOARD, AccessSize::Byte) => Ok(0),
            _ => Err(DeviceError::Unsupported),
        }
    }

    fn write(
        &mut self,
        origin: Origin,
        offset: u64,
        size: AccessSize,
        value: u64,
    ) -> Result<(), DeviceError> {
        let event = match (offset, size) {
            (0, AccessSize::Dword) => {
                let status = u32::try_from(value).map_err(|_| DeviceError::Unsupported)?;
                Some(PowerEvent::Exit(status))
            }
            (0, AccessSize::Word) => {
                let off = value & PM1_SLEEP_ENABLE != 0 && value & PM1_SLEEP_TYPE == 0;
                off.then_some(PowerEvent::Shutdown)
            }
            (Self::RESET, AccessSize::Byte) => {
                (value & RESET_CPU != 0).then_some(PowerEvent::Reset)
            }
            (Self::SLEEP, AccessSize::Byte) => {
                (value & SLEEP_FIELDS == SLEEP_OFF).then_some(PowerEvent::Shutdown)
            }
            (SLEEP_STATUS, AccessSize::Byte) => None,
            (Self::KEYBOARD, AccessSize::Byte) => {
                (value == KEYBOARD_RESET).then_some(PowerEvent::Reset)
            }
            _ => return Err(DeviceError::Unsupported),
        };
        if let Some(event) = event {
            (self.notify)(origin, event);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use giantvm_core::{NodeId, VcpuId};

    use super::*;

    #[test]
    fn each_register_has_its_size_and_its_values() {
        let (events, seen) = channel();
        let mut power = PowerDevice::new(move |_, event| events.send(event).unwrap());
        let origin = Origin {
            node: NodeId::ZERO,
            vcpu: VcpuId::BOOT,
        };
        let mut write = |offset, size, value| {
            let taken = power.write(origin, offset, size, value);
            (taken.is_ok(), seen.try_recv().ok())
        };
        let exit = Some(PowerEvent::Exit(0xdead_beef));
        assert_eq!(write(0, AccessSize::Dword, 0xdead_beef), (true, exit));
        assert_eq!(
            write(0, AccessSize::Word, 0x2000),
            (true, Some(PowerEvent::Shutdown))
        );
        assert_eq!(
            write(0, AccessSize::Word, 0x2400),
            (true, None),
            "another sleep state"
        );
        assert_eq!(
            write(4, AccessSize::Byte, 0x06),
            (true, Some(PowerEvent::Reset))
        );
        assert_eq!(
            write(4, AccessSize::Byte, 0x02),
            (true, None),
            "only the kind of reset to come"
        );
        let off = Some(PowerEvent::Shutdown);
        assert_eq!(write(5, AccessSize::Byte, 0x34), (true, off));
        assert_eq!(
            write(5, AccessSize::Byte, 0x24),
            (true, None),
            "another sleep state"
        );
        assert_eq!(
            write(5, AccessSize::Byte, 0x14),
            (true, None),
            "only the state to come"
        );
        assert_eq!(write(6, AccessSize::Byte, 0x80), (true, None));
        assert_eq!(
            write(7, AccessSize::Byte, 0xfe),
            (true, Some(PowerEvent::Reset))
        );
        assert_eq!(write(7, AccessSize::Byte, 0xd1), (true, None));
        assert_eq!(write(0, AccessSize::Byte, 0), (false, None));
        assert_eq!(write(2, AccessSize::Word, 0x2000), (false, None));
    }
}
