//! What a program needs of the vCPU it runs on.

use crate::memory::Memory;

/// Interrupt vectors the guest handles, each for one purpose so that each can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Vector {
    /// Non-maskable interrupt.
    Nmi = 2,
    /// Sent to one vCPU by its physical identifier.
    Physical = 0x40,
    /// Sent to one vCPU by its logical identifier.
    Logical = 0x41,
    /// Sent to all but the sender.
    AllButSelf = 0x42,
    /// Sent to all with the sender.
    AllWithSelf = 0x43,
    /// Sent to the sender alone.
    Own = 0x44,
    /// Wakes a halted vCPU.
    Wake = 0x45,
    /// The local timer.
    Timer = 0x46,
}

impl Vector {
    /// Index of the vector in the interrupt table and among the counters.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// Whom an interrupt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// One vCPU by its APIC identifier.
    Physical(u32),
    /// One vCPU by its bit in its logical cluster.
    Logical(u32),
    /// All vCPUs but the sender.
    AllButSelf,
    /// All vCPUs.
    AllWithSelf,
    /// The sender.
    Own,
}

/// The vCPU a program runs on: bare metal in the guest, a thread in a host process.
///
/// The programs are written once against this trait. An implementation does what is asked and
/// waits for nothing but the access itself; deadlines are the programs' business.
pub trait Machine {
    /// Identifier of this vCPU, from 0.
    fn vcpu(&self) -> u32;

    /// How many share the work, if those are not the machine's vCPUs but threads on them.
    fn team(&self) -> Option<u32> {
        None
    }

    /// The memory all vCPUs share.
    fn memory(&self) -> Memory<'_>;

    /// Writes 8 bits to a port.
    fn port_out8(&self, port: u16, value: u8);

    /// Writes 32 bits to a port.
    fn port_out32(&self, port: u16, value: u32);

    /// Reads 32 bits from a port.
    fn port_in32(&self, port: u16) -> u32;

    /// Writes 64 bits to a device register in memory space.
    fn mmio_write(&self, address: u64, value: u64);

    /// Reads 64 bits from a device register in memory space.
    fn mmio_read(&self, address: u64) -> u64;

    /// The time stamp counter.
    fn cycles(&self) -> u64;

    /// Sends a fixed interrupt.
    fn ipi(&self, to: Destination, vector: Vector);

    /// Sends a non-maskable interrupt to one vCPU by its physical identifier.
    fn nmi(&self, to: u32);

    /// Interrupts of a vector that this vCPU has handled since it started.
    fn received(&self, vector: Vector) -> u64;

    /// Lets others run: called in every turn of a wait that has spun for a while.
    fn relax(&self);

    /// Starts the one-shot local timer; [`Vector::Timer`] arrives after `nanos`.
    fn arm_timer(&self, nanos: u64);

    /// Sleeps until the next interrupt, unless `vector` has been received more than `seen` times.
    fn halt_while(&self, vector: Vector, seen: u64);

    /// Waits until all who share the work came here, if the machine has a way to; `false` if it has none.
    fn meet(&self) -> bool {
        false
    }

    /// Says that a piece of work is done, a page's or so: others may have their turn.
    fn worked(&self) {}
}
