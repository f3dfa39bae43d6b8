//! Virtio devices: disk, console, entropy and network, with their queues in guest memory.
//!
//! A device's rings are read and written through any [`vm_memory::GuestMemory`], so it works on
//! distributed memory as on any other. Where a page is on another node, the device's own thread
//! waits for it; the node's network thread and accesses to registers do not.
//!
//! | part | what it is |
//! |---|---|
//! | [`VirtioDevice`] | what a device does with a request: no thread, no lock, no register |
//! | [`Ring`], [`Chain`] | its queues, checked: whatever a hostile guest puts there ends in [`Malformed`] |
//! | [`VirtioMmio`] | its registers |
//! | a worker | a thread that calls the device when the driver has rung |
//!
//! A driver that breaks the rules of its queues has its device stopped, which says so in its status
//! (`DEVICE_NEEDS_RESET`), and is at work again after a reset. A backend that fails is reported by
//! the means of the device.

pub mod blk;
mod chain;
mod config;
pub mod console;
mod device;
mod mmio;
pub mod net;
pub mod port;
mod ring;
pub mod rng;
mod shared;
mod state;
mod worker;

pub use chain::{Chain, Cursor, MAX_SEGMENTS};
pub use config::ConfigHandle;
pub use device::{SHARE, Served, VirtioDevice};
pub use mmio::{Trigger, VirtioMmio};
pub use ring::{Malformed, Ring};
