//! Interrupts from devices to vCPUs.

use std::fmt::Debug;

use giantvm_core::{Msi, VcpuId};

/// An interrupt that a device raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceInterrupt {
    /// As the guest programmed it.
    Msi(Msi),
    /// A vector at one vCPU.
    Vector {
        /// The vCPU.
        vcpu: VcpuId,
        /// The vector, at least [`LOWEST_VECTOR`](giantvm_core::LOWEST_VECTOR).
        vector: u8,
    },
}

/// Takes interrupts from devices to where their vCPUs are.
///
/// Called with the device's lock held: must not block, and must not access the same device.
pub trait InterruptSink: Send + Sync {
    /// Raises an interrupt.
    fn raise(&self, interrupt: DeviceInterrupt);
}

impl<F: Fn(DeviceInterrupt) + Send + Sync> InterruptSink for F {
    fn raise(&self, interrupt: DeviceInterrupt) {
        self(interrupt);
    }
}

/// The wire from a device to the interrupt controller, such as a [line](crate::ioapic::Lines::line)
/// of the IOAPIC.
///
/// May be called with the device's lock held: must not block, and must not access the same device.
pub trait InterruptLine: Send + Sync + Debug {
    /// Asserts the line, or lets it go. As it was is no change.
    fn set(&self, asserted: bool);

    /// Asserts the line and lets it go at once: the interrupt of an edge-triggered line. Does nothing
    /// while the line is asserted.
    fn pulse(&self);
}
