//! The devices that come with the crate.

mod clock;
mod power;
mod scratch;
mod serial;

pub use clock::ClockDevice;
pub use power::{PowerDevice, PowerEvent};
pub use scratch::{ScratchDevice, ScratchFactors};
pub use serial::{MAX_LINE, SerialDevice};
