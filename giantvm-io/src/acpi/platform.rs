//! What the tables tell the guest, as plain values.

use giantvm_core::GuestAddress;

use crate::ioapic::{self, Pin};

/// A machine as its tables describe it. A proximity domain is a NUMA node of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Platform {
    /// The vCPUs. At least one; the first is the boot vCPU.
    pub processors: Vec<Processor>,
    /// All memory that the guest may use, and what is reserved within it.
    pub memory: Vec<MemoryRange>,
    /// How far domains are from one another, row `from`, column `to`, for the SLIT. Without rows
    /// there is no SLIT.
    pub distances: Vec<Vec<u8>>,
    /// What a domain's vCPUs see of another domain's memory, for the HMAT; `None` for no HMAT.
    pub performance: Option<Performance>,
    /// The devices.
    pub devices: Devices,
}

/// A vCPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Processor {
    /// Its APIC's ID.
    pub apic_id: u32,
    /// Its proximity domain.
    pub domain: u32,
}

/// A run of guest memory in one proximity domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryRange {
    /// Where it starts.
    pub start: GuestAddress,
    /// How long it is.
    pub bytes: u64,
    /// Its proximity domain.
    pub domain: u32,
}

/// Memory's latency and bandwidth, row `from`, column `to`, one of each for each domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Performance {
    /// In nanoseconds.
    pub latencies: Vec<Vec<u32>>,
    /// In MiB a second. Without rows nothing is said of it.
    pub bandwidths: Vec<Vec<u32>>,
}

/// The devices that the tables name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices {
    /// Where the IOAPIC is.
    pub ioapic: u32,
    /// By which ports the guest switches the machine off and resets it.
    pub power: PowerPorts,
    /// A 16550.
    pub serial: Option<SerialPort>,
    /// The index port of the CMOS clock, which has two.
    pub rtc: Option<u16>,
    /// The port of the device that hears of the guest's panics.
    pub panic: Option<u16>,
    /// The port of the ACPI timer, which has four. Linux then checks its time-stamp counter against
    /// it, and trusts it no more if a reading took too long: leave it out where readings travel.
    pub timer: Option<u16>,
    /// Virtio devices on virtio-mmio.
    pub virtio: Vec<VirtioMmio>,
}

impl Default for Devices {
    /// What every machine has, and nothing else.
    fn default() -> Self {
        Self {
            ioapic: u32::try_from(ioapic::ADDRESS).unwrap_or_default(),
            power: PowerPorts::default(),
            serial: None,
            rtc: None,
            panic: None,
            timer: None,
            virtio: Vec::new(),
        }
    }
}

/// The ports of a [`PowerDevice`](crate::devices::PowerDevice).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PowerPorts {
    /// Of its sleep control register; the sleep status register is behind it.
    pub sleep: u16,
    /// Of its reset register.
    pub reset: u16,
}

impl Default for PowerPorts {
    /// The PC's reset control register, and two ports that PCs have nothing at.
    fn default() -> Self {
        Self {
            sleep: 0x600,
            reset: 0xcf9,
        }
    }
}

/// A 16550 at eight ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SerialPort {
    /// The first port.
    pub port: u16,
    /// Its interrupt line, edge-triggered.
    pub pin: Pin,
}

/// A virtio device on virtio-mmio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VirtioMmio {
    /// Where its registers are.
    pub address: u32,
    /// How many bytes they are.
    pub bytes: u32,
    /// Its interrupt line.
    pub pin: Pin,
    /// What the line is.
    pub trigger: Trigger,
    /// The proximity domain of the node that hosts it, if that is to be told.
    pub domain: Option<u32>,
}

/// What an interrupt line does to interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// It is pulsed for each reason to look at the device. No EOI travels.
    Edge,
    /// It is asserted while there is reason to look at the device.
    Level,
}
