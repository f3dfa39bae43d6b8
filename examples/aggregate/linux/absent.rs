//! A device that is not there, to a kernel that would wait for it.

use giantvm_core::AccessSize;
use giantvm_io::{Device, DeviceError, Origin};

/// Registers that are always zero.
///
/// Linux times the interval timer at boot by reading it until it counts on. Where nothing answers, a
/// read is all ones, which that takes for a count, and it reads a hundred thousand times; zeroes it
/// gives up at once.
#[derive(Debug)]
pub(super) struct Absent;

impl Device for Absent {
    fn name(&self) -> &str {
        "absent"
    }

    fn read(&mut self, _: Origin, _: u64, _: AccessSize) -> Result<u64, DeviceError> {
        Ok(0)
    }

    fn write(&mut self, _: Origin, _: u64, _: AccessSize, _: u64) -> Result<(), DeviceError> {
        Ok(())
    }
}
