//! The PC's CMOS clock.

mod date;

use std::fmt;

use giantvm_core::AccessSize;

use crate::{Device, DeviceError, Origin};
use date::Date;

const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const STATUS_C: u8 = 0x0c;
const STATUS_D: u8 = 0x0d;

/// Status A: the oscillator runs, and no update is in progress, for there is never one to wait for.
const RUNNING: u8 = 0x26;
/// Status B: the registers stand still to be set.
const SET: u8 = 1 << 7;
/// Status B: registers are binary, not BCD.
const BINARY: u8 = 1 << 2;
/// Status B: hours are 0 to 23.
const HOURS_24: u8 = 1 << 1;
/// Status D: the battery is good.
const VALID: u8 = 1 << 7;
/// Of an hour from 1 to 12.
const AFTERNOON: u8 = 1 << 7;

/// The CMOS clock of a PC (MC146818) with 128 bytes of memory: an index register at offset 0 and a data
/// register at offset 1, commonly at ports 0x70 and 0x71.
///
/// It keeps the time of day and can be set. It has no interrupts, so no alarm, and their enable bits
/// stay zero. What the guest reads of a date is of different moments: drivers read the seconds twice.
///
/// ```
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_io::devices::RtcDevice;
/// use giantvm_io::{AccessSize, Device, Origin};
///
/// let mut rtc = RtcDevice::new(|| 1_709_251_199); // 2024-02-29 23:59:59
/// let origin = Origin { node: NodeId::ZERO, vcpu: VcpuId::BOOT };
/// let mut register = |index: u8| {
///     rtc.write(origin, 0, AccessSize::Byte, index.into())?;
///     rtc.read(origin, 1, AccessSize::Byte)
/// };
/// assert_eq!((register(4)?, register(2)?, register(0)?), (0x23, 0x59, 0x59), "it is BCD");
/// assert_eq!((register(RtcDevice::CENTURY)?, register(9)?), (0x20, 0x24));
/// # Ok::<(), giantvm_io::DeviceError>(())
/// ```
pub struct RtcDevice {
    now: Box<dyn FnMut() -> i64 + Send>,
    /// What the guest has set the clock ahead, in seconds.
    ahead: i64,
    /// The date while it stands still.
    still: Option<Date>,
    status_b: u8,
    index: u8,
    memory: [u8; 128],
}

impl RtcDevice {
    /// Bytes of its registers.
    pub const BYTES: u64 = 2;
    /// The index of the century, as the FADT says it.
    pub const CENTURY: u8 = 0x32;

    /// A clock that shows what `now` gives, in seconds since 1970.
    pub fn new(now: impl FnMut() -> i64 + Send + 'static) -> Self {
        Self {
            now: Box::new(now),
            ahead: 0,
            still: None,
            status_b: HOURS_24,
            index: 0,
            memory: [0; 128],
        }
    }

    fn date(&mut self) -> Date {
        let now = (self.now)();
        self.still
            .unwrap_or_else(|| Date::at(now.saturating_add(self.ahead)))
    }

    fn set(&mut self, date: Date) {
        if self.status_b & SET != 0 {
            self.still = Some(date);
        } else {
            self.ahead = date.seconds().saturating_sub((self.now)());
        }
    }

    fn write_status_b(&mut self, value: u8) {
        let date = self.date();
        self.status_b = value & (SET | BINARY | HOURS_24);
        self.still = None;
        self.set(date);
    }

    fn read_register(&mut self) -> u8 {
        match self.index {
            STATUS_A => RUNNING,
            STATUS_B => self.status_b,
            STATUS_C => 0,
            STATUS_D => VALID,
            4 => self.hour(),
            index => {
                let mut date = self.date();
                match field(&mut date, index) {
                    Some(&mut value) => self.coded(value),
                    None => self.memory[usize::from(index)],
                }
            }
        }
    }

    fn write_register(&mut self, value: u8) {
        let mut date = self.date();
        match self.index {
            STATUS_A | STATUS_C | STATUS_D => {}
            STATUS_B => self.write_status_b(value),
            4 => {
                date.hour = self.hour_of(value);
                self.set(date);
            }
            index => {
                let decoded = self.decoded(value);
                match field(&mut date, index) {
                    Some(field) => {
                        *field = decoded;
                        self.set(date);
                    }
                    None => self.memory[usize::from(index)] = value,
                }
            }
        }
    }

    fn coded(&self, value: u8) -> u8 {
        match self.status_b & BINARY != 0 {
            true => value,
            false => value / 10 % 10 * 16 + value % 10,
        }
    }

    fn decoded(&self, value: u8) -> u8 {
        match self.status_b & BINARY != 0 {
            true => value,
            // At most 165, of digits that are none.
            false => value / 16 * 10 + value % 16,
        }
    }

    fn hour(&mut self) -> u8 {
        let hour = self.date().hour;
        if self.status_b & HOURS_24 != 0 {
            return self.coded(hour);
        }
        let half = if hour >= 12 { AFTERNOON } else { 0 };
        half | self.coded((hour + 11) % 12 + 1)
    }

    fn hour_of(&self, value: u8) -> u8 {
        if self.status_b & HOURS_24 != 0 {
            return self.decoded(value);
        }
        let half = if value & AFTERNOON != 0 { 12 } else { 0 };
        half + self.decoded(value & !AFTERNOON) % 12
    }
}

/// The part of a date that a register shows, the hour aside.
fn field(date: &mut Date, index: u8) -> Option<&mut u8> {
    Some(match index {
        0 => &mut date.second,
        2 => &mut date.minute,
        6 => &mut date.weekday,
        7 => &mut date.day,
        8 => &mut date.month,
        9 => &mut date.year,
        RtcDevice::CENTURY => &mut date.century,
        _ => return None,
    })
}

impl fmt::Debug for RtcDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RtcDevice");
        debug.field("ahead", &self.ahead).finish_non_exhaustive()
    }
}

impl Device for RtcDevice {
    fn name(&self) -> &str {
        "rtc"
    }

    fn read(&mut self, _: Origin, offset: u64, size: AccessSize) -> Result<u64, DeviceError> {
        match (offset, size) {
            (0, AccessSize::Byte) => Ok(self.index.into()),
            (1, AccessSize::Byte) => Ok(self.read_register().into()),
            _ => Err(DeviceError::Unsupported),
        }
    }

    fn write(
        &mut self,
        _: Origin,
        offset: u64,
        size: AccessSize,
        value: u64,
    ) -> Result<(), DeviceError> {
        let [byte, ..] = value.to_le_bytes();
        match (offset, size) {
            // Bit 7 keeps NMIs away on PCs.
            (0, AccessSize::Byte) => self.index = byte & 0x7f,
            (1, AccessSize::Byte) => self.write_register(byte),
            _ => return Err(DeviceError::Unsupported),
        }
        Ok(())
    }

    /// The battery goes on: the time that was set stays, and so does the memory.
    fn reset(&mut self) {
        if self.still.is_some() {
            self.write_status_b(self.status_b & !SET);
        }
        self.index = 0;
    }
}

#[cfg(test)]
#[path = "rtc_tests.rs"]
mod tests;
