//! The devices that come with the crate.

mod clock;
mod panic;
mod power;
mod rtc;
mod scratch;
mod serial;
mod timer;
mod uart;

pub use clock::ClockDevice;
pub use panic::PanicDevice;
pub use power::{PowerDevice, PowerEvent};
pub use rtc::RtcDevice;
pub use scratch::{ScratchDevice, ScratchFactors};
pub use serial::{MAX_LINE, SerialDevice};
pub use timer::TimerDevice;
pub use uart::{UartDevice, UartInput};
