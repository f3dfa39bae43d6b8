//! Why a vCPU stopped running.

use std::fmt;

use giantvm_core::GuestAddress;

/// The width of one access to a port or to device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessSize {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Word,
    /// 32 bits.
    Dword,
    /// 64 bits; never of a port.
    Qword,
}

impl AccessSize {
    /// The size of `bytes` bytes; `None` unless that is 1, 2, 4 or 8.
    #[must_use]
    pub const fn from_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            8 => Some(Self::Qword),
            _ => None,
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Word => 2,
            Self::Dword => 4,
            Self::Qword => 8,
        }
    }

    /// `value` with all bits outside this size cleared.
    #[must_use]
    pub const fn truncate(self, value: u64) -> u64 {
        value & (u64::MAX >> (64 - 8 * self.bytes()))
    }
}

impl fmt::Display for AccessSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes())
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_truncate_to_their_bits() {
        let truncated = [1, 2, 4, 8].map(|bytes| {
            let size = AccessSize::from_bytes(bytes).unwrap();
            assert_eq!(size.bytes(), bytes);
            size.truncate(u64::MAX)
        });
        assert_eq!(truncated, [0xff, 0xffff, 0xffff_ffff, u64::MAX]);
        assert_eq!(AccessSize::from_bytes(3), None);
    }
}
