//! What a device is to the bus.

use std::fmt::Debug;

use giantvm_core::AccessSize;

use crate::Origin;

/// Why a device did not do what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// It has no register there, or none of this size or direction.
    #[error("no register takes an access of this place, size and direction")]
    Unsupported,
    /// What stands behind the device failed: a file, a terminal, guest memory.
    #[error("the device's backend failed; the log of its node says more")]
    Backend,
    /// The device's code panicked, and its state cannot be trusted.
    #[error("the device broke down; the log of its node says more")]
    Broken,
}

/// A device: registers at byte offsets from 0, which one or more [windows](crate::Window) of the
/// machine's ports and memory show.
///
/// The bus holds the device's own lock while it calls. A device may block, by touching distributed
/// memory for one: only accesses to the same device wait for it.
pub trait Device: Send + Debug {
    /// The device's name in errors and reports.
    fn name(&self) -> &str;

    /// Reads the register at `offset`.
    ///
    /// # Errors
    /// [`DeviceError`] if there is none of this size or it cannot be read.
    fn read(&mut self, origin: Origin, offset: u64, size: AccessSize) -> Result<u64, DeviceError>;

    /// Writes `value`, which fits `size`, to the register at `offset`.
    ///
    /// # Errors
    /// [`DeviceError`] if there is none of this size or it cannot be written.
    fn write(
        &mut self,
        origin: Origin,
        offset: u64,
        size: AccessSize,
        value: u64,
    ) -> Result<(), DeviceError>;

    /// The machine stopped: no access comes until a restart. Brings out what is buffered and goes
    /// back to the state after power-on.
    fn reset(&mut self) {}
}

/// A device of a [`Bus`](crate::Bus), the same on every node that builds its bus alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub(crate) usize);
