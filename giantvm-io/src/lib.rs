//! Port and memory-mapped I/O whose devices may live on any node, and the machine's life cycle.
//!
//! A vCPU's access goes to its node's [`Bus`] and ends in a value, an [`Outcome`]: done, failed, or
//! deferred until the node of the device answers. Nothing here knows a hypervisor or a transport:
//! the caller feeds in accesses and messages and sends what comes out. There is no PCI; a device that
//! reaches guest memory does so by a view that it is given: [virtio] disks, network cards and
//! consoles.
//!
//! A guest that expects a PC finds one by [ACPI tables](acpi): a hardware-reduced platform with an
//! [IOAPIC](ioapic) whose lines come from devices on any node, a CMOS clock, a serial line, and registers
//! to switch off, to reset and to tell of a panic ([`devices`]).
//!
//! ```
//! use std::sync::Arc;
//! use giantvm_core::{NodeId, VcpuId};
//! use giantvm_io::devices::{ScratchDevice, ScratchFactors};
//! use giantvm_io::{Access, AccessSize, BusBuilder, Origin, Outcome, Space, Window};
//!
//! let here = NodeId::ZERO;
//! let mut bus = BusBuilder::new(here, vec![here]);
//! let scratch = bus.local(Box::new(ScratchDevice::new(ScratchFactors::NONE)));
//! bus.map(scratch, Window::memory(0xd000_0000, ScratchDevice::WIDE_BYTES))?;
//! let bus = bus.build(|_to, _request| Ok(()));
//!
//! let origin = Origin { node: here, vcpu: VcpuId::BOOT };
//! let write = Access::write(Space::Memory, 0xd000_0008, AccessSize::Qword, 7);
//! assert_eq!(bus.access(origin, write), Outcome::Done(0));
//! let read = Access::read(Space::Memory, 0xd000_0008, AccessSize::Qword);
//! assert_eq!(bus.access(origin, read), Outcome::Done(7 + 1), "the value, and the first reading");
//! # Ok::<(), giantvm_io::MapError>(())
//! ```
#![forbid(unsafe_code)]

mod access;
pub mod acpi;
mod bus;
mod counters;
mod device;
pub mod devices;
mod forward;
mod interrupt;
pub mod ioapic;
pub mod machine;
mod message;
mod posted;
mod ranges;
mod server;
mod sync;
pub mod virtio;
mod wait;

pub use access::{Access, AccessError, Op, Origin, Outcome, Space, Token};
pub use bus::{Bus, BusBuilder, Unsent};
pub use counters::IoCounts;
pub use device::{Device, DeviceError, DeviceId};
pub use forward::{Completed, Forwarder, MAX_ABANDONED, Violation};
pub use giantvm_core::{AccessSize, Msi};
pub use interrupt::{DeviceInterrupt, InterruptLine, InterruptSink};
pub use message::{IoMessage, IoReply, IoRequest};
pub use posted::MAX_POSTED;
pub use ranges::{MapError, Window};
pub use server::{DeviceServer, MAX_POSTED_QUEUED, MAX_QUEUED};
