//! One access of a vCPU to a device, and how it ends.

use std::fmt;

use giantvm_core::{AccessSize, NodeId, VcpuId};

use crate::DeviceError;

/// Where an access comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The node that runs the vCPU.
    pub node: NodeId,
    /// The vCPU.
    pub vcpu: VcpuId,
}

/// An address space of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// The 64 Ki ports of `in` and `out`.
    Port,
    /// Guest physical memory without RAM behind it.
    Memory,
}

/// What an access does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// A load or `in`.
    Read,
    /// A store or `out` of this value, in the access's size.
    Write(u64),
}

/// One access to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access {
    /// The address space.
    pub space: Space,
    /// The first address.
    pub address: u64,
    /// How many addresses.
    pub size: AccessSize,
    /// What it does.
    pub op: Op,
}

impl Access {
    /// A read.
    #[must_use]
    pub const fn read(space: Space, address: u64, size: AccessSize) -> Self {
        let op = Op::Read;
        Self {
            space,
            address,
            size,
            op,
        }
    }

    /// A write of `value`, cut to the size.
    #[must_use]
    pub const fn write(space: Space, address: u64, size: AccessSize, value: u64) -> Self {
        let op = Op::Write(size.truncate(value));
        Self {
            space,
            address,
            size,
            op,
        }
    }

    /// Whether it writes.
    #[must_use]
    pub const fn is_write(self) -> bool {
        matches!(self.op, Op::Write(_))
    }

    /// What x86 gives for an access that no device claims: all ones for a read, nothing for a write.
    #[must_use]
    pub const fn unclaimed_value(self) -> u64 {
        match self.op {
            Op::Read => self.size.ones(),
            Op::Write(_) => 0,
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (space, bytes) = (self.space, self.size.bytes());
        match self.op {
            Op::Read => write!(f, "{bytes}-byte read of {space:?} {:#x}", self.address),
            Op::Write(value) => {
                write!(
                    f,
                    "{bytes}-byte write of {value:#x} to {space:?} {:#x}",
                    self.address
                )
            }
        }
    }
}

/// Names an access that another node is to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(crate) u64);

/// How an access ends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a vCPU must not go on before its access has ended"]
pub enum Outcome {
    /// It is done: the value read, zero for a write.
    Done(u64),
    /// It cannot be done.
    Failed(AccessError),
    /// Another node will answer: [`Bus::wait`](crate::Bus::wait) for it.
    Deferred(Token),
}

/// Why an access failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The device refused or could not do it.
    #[error("device {device}: {error}")]
    Device {
        /// The device's name.
        device: String,
        /// What it says.
        error: DeviceError,
    },
    /// A device on another node refused or could not do it.
    #[error("device on node {node}: {error}")]
    Remote {
        /// The device's node.
        node: NodeId,
        /// What it says.
        error: DeviceError,
    },
    /// The node of the device is gone.
    #[error("node {0}, which hosts the device, is lost")]
    Lost(NodeId),
    /// The request could not be sent.
    #[error("the access could not be sent to node {node}: {why}")]
    Unsent {
        /// The device's node.
        node: NodeId,
        /// What the transport says.
        why: String,
    },
    /// The vCPU waits for another access already: a vCPU has one at a time.
    #[error("vCPU {0} has an access under way already: wait for it first")]
    Busy(VcpuId),
    /// The machine stops, so no one waits for the answer.
    #[error("the machine stops; the access was given up")]
    Stopped,
    /// No access has this token.
    #[error("no access of this vCPU is under way: wait once for each deferred access")]
    NotPending,
}
