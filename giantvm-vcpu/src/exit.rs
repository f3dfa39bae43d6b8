//! Why a vCPU stopped running.

use giantvm_core::{AccessSize, GuestAddress};

/// Why [`Vcpu::run`](crate::Vcpu::run) returned.
///
/// One access an exit: a string instruction, or an access of an odd width, comes as several exits
/// of the same kind in the order of their addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The guest reads a port: answer by [`finish_read`](crate::Vcpu::finish_read).
    PortRead {
        /// The port.
        port: u16,
        /// How much of it.
        size: AccessSize,
    },
    /// The guest writes a port.
    PortWrite {
        /// The port.
        port: u16,
        /// How much of it.
        size: AccessSize,
        /// What it writes.
        value: u32,
    },
    /// The guest reads where no memory is: answer by [`finish_read`](crate::Vcpu::finish_read).
    MemoryRead {
        /// The guest-physical address.
        address: GuestAddress,
        /// How much.
        size: AccessSize,
    },
    /// The guest writes where no memory is.
    MemoryWrite {
        /// The guest-physical address.
        address: GuestAddress,
        /// How much.
        size: AccessSize,
        /// What it writes.
        value: u64,
    },
    /// The guest ended an interrupt whose vector a [pin](crate::VcpuHost::set_pin) sends
    /// level-triggered: the I/O APIC has to know.
    EndOfInterrupt {
        /// The vector.
        vector: u8,
    },
    /// The vCPU met a fault it could not deliver (a triple fault): the machine resets or stops.
    Shutdown,
    /// [`VcpuHost::kick`](crate::VcpuHost::kick) asked it to return. It can run on.
    Kicked,
    /// A thread vCPU's program returned: it will do nothing more until it is started again.
    Finished,
    /// The vCPU cannot run on.
    Failed(Failure),
}

/// Why a vCPU cannot run on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The processor refused to enter the guest's state.
    #[error("the processor refused to enter the guest, reason {reason:#x}")]
    Entry {
        /// The hardware's reason.
        reason: u64,
    },
    /// KVM could not carry out an instruction or deliver an event.
    #[error("KVM failed at guest address {rip:#x} (suberror {suberror}, data {data:x?})")]
    Internal {
        /// KVM's suberror: 1 is an instruction that it cannot emulate.
        suberror: u32,
        /// The guest's instruction pointer.
        rip: u64,
        /// What KVM says besides.
        data: Vec<u64>,
    },
    /// The guest touched memory that this node cannot give it: lost with its owner, or unmapped.
    #[error("guest memory at {address:#x} cannot be reached")]
    Memory {
        /// The guest-physical address, or all ones if KVM does not say.
        address: u64,
    },
    /// An exit that this library has no use for.
    #[error("unexpected KVM exit, reason {0}")]
    UnexpectedExit(u32),
    /// A thread vCPU's program panicked.
    #[error("the vCPU's program panicked: {0}")]
    Panicked(String),
}
