//! A userspace IOAPIC, and the interrupt lines that lead to it from devices on any node.
//!
//! [`IoApic`] is the chip, a state machine without I/O. One node of the machine has it; [`Lines`] is
//! what each node has of it: ends of lines for own devices, and the way that EOIs of own vCPUs, lines
//! of far devices and changed routes go, as [`LineMessage`]s. Messages to vCPUs leave it as values of
//! [`Msi`](giantvm_core::Msi), to whoever delivers them.
//!
//! # Order
//!
//! Everything is to be sent in one class of one link, and to be handled in the order it came:
//!
//! * a line's fall must not overtake its rise, nor the other way round, or the line stays as it was;
//! * a route must not come after an interrupt that is delivered by it, or the EOI of that is not seen
//!   and the line is dead. That includes messages to vCPUs.
//!
//! Between links there is no order, and none is needed: an EOI that arrives before its device's line
//! falls makes the interrupt come once more, and the driver finds nothing to do. Edge-triggered
//! interrupts have no such trip, and no EOI that travels: use them wherever a device allows it.

mod entry;
mod lines;
mod message;
mod pin;
mod state;

pub use lines::{IoApicDevice, LineViolation, Lines, LinesOutput};
pub use message::LineMessage;
pub use pin::{NoPin, Pin};
pub use state::{Effect, IoApic};

/// Pins of an IOAPIC.
pub const PINS: usize = 24;
/// Where PCs have their first IOAPIC.
pub const ADDRESS: u64 = 0xfec0_0000;
/// Bytes of its registers.
pub const BYTES: u64 = 0x1000;
