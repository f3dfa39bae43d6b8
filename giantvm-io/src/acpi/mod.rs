//! ACPI tables: what an operating system that looks for them is told of the machine.
//!
//! [`Platform`] is a description in plain values; [`Platform::tables`] makes bytes of it that are to be
//! written to one place of guest memory. Equal platforms make equal bytes, so every node can make them.
//!
//! The platform is *hardware-reduced*: it has no 8259, no 8254, no SCI and no fixed power registers,
//! and says so. Linux then takes no legacy interrupt for granted and checks no timer through the IOAPIC,
//! which it otherwise does and panics without; a device's interrupt is the pin that the DSDT names.
//! Power-off goes by the sleep control register, a restart by the reset register. The timer that is
//! left is that of the local APICs, whose frequency the guest has to be told by CPUID.
//!
//! APICs are addressed physically ("force physical destination mode"): a message that names one
//! vCPU goes to its node and to no other.
//!
//! ```
//! use giantvm_core::GuestAddress;
//! use giantvm_io::acpi::{Devices, MemoryRange, Platform, Processor, SerialPort};
//! use giantvm_io::ioapic::Pin;
//!
//! let platform = Platform {
//!     processors: vec![Processor { apic_id: 0, domain: 0 }, Processor { apic_id: 1, domain: 1 }],
//!     memory: vec![
//!         MemoryRange { start: GuestAddress(0), bytes: 64 << 20, domain: 0 },
//!         MemoryRange { start: GuestAddress(64 << 20), bytes: 64 << 20, domain: 1 },
//!     ],
//!     distances: vec![vec![10, 20], vec![20, 10]],
//!     performance: None,
//!     devices: Devices {
//!         serial: Some(SerialPort { port: 0x3f8, pin: Pin::new(4)? }),
//!         ..Devices::default()
//!     },
//! };
//! let tables = platform.tables(GuestAddress(0xe_0000), 0x1_0000)?;
//! assert!(tables.bytes.starts_with(b"RSD PTR "));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod dsdt;
mod fadt;
mod hmat;
mod madt;
mod numa;
mod platform;
mod tables;

pub use check::AcpiError;
pub use platform::{
    Devices, MemoryRange, Performance, Platform, PowerPorts, Processor, SerialPort, Trigger,
    VirtioMmio,
};
pub use tables::Tables;
