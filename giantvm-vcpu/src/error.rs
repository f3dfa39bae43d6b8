//! What can go wrong with a host or a vCPU.

use std::io;
use std::time::Duration;

use giantvm_core::{Msi, VcpuId};

use crate::exit::Failure;

/// A host or a vCPU could not do what it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VcpuError {
    /// The machine has no such vCPU.
    #[error("the machine has no vCPU {0}")]
    NoSuchVcpu(VcpuId),
    /// The vCPU runs on another node.
    #[error("vCPU {0} runs on another node")]
    NotLocal(VcpuId),
    /// The vCPU is on this node.
    #[error("vCPU {0} is on this node")]
    IsLocal(VcpuId),
    /// The vCPU was taken before.
    #[error("vCPU {0} is taken already: each can be taken once")]
    Taken(VcpuId),
    /// `leave` while a thread vCPU's program is not where it can be moved, or KVM may not tell everything.
    #[error("vCPU {0} is in the middle of something: run on, and try again after the next exit")]
    Busy(VcpuId),
    /// The layout has no vCPU, or more than a machine can have.
    #[error("a machine has from 1 to {limit} vCPUs, not {got}")]
    VcpuCount {
        /// How many there are.
        got: usize,
        /// Most there can be.
        limit: usize,
    },
    /// `run` while a read waits for its answer, or `state` in the middle of an access.
    #[error("vCPU {0} is in the middle of an access: answer it by finish_read, or run on")]
    AccessPending(VcpuId),
    /// `finish_read` while the vCPU waits for no answer.
    #[error("vCPU {0} waits for no answer to a read")]
    NoReadPending(VcpuId),
    /// vCPUs that still ran when the time to pause was over.
    #[error("vCPUs {running:?} did not pause within {limit:?}")]
    PauseTimeout {
        /// The vCPUs.
        running: Vec<VcpuId>,
        /// How long they had.
        limit: Duration,
    },
    /// A message-signalled interrupt that reaches no vCPU.
    #[error("the interrupt message {msi:x?} reaches no vCPU")]
    BadMsi {
        /// The message.
        msi: Msi,
    },
    /// A state that does not fit this host.
    #[error("the architectural state cannot be loaded: {0}")]
    BadState(String),
    /// A stand-in for a vCPU of another node left the code it has to stay in.
    #[error("the proxy of vCPU {id} went astray: {failure}")]
    ProxyAstray {
        /// The vCPU.
        id: VcpuId,
        /// How.
        failure: Failure,
    },
    /// What this kind of host cannot do.
    #[error("{host} cannot {what}")]
    Unsupported {
        /// The kind of host.
        host: &'static str,
        /// What was asked.
        what: &'static str,
    },
    /// A guest memory region that cannot be mapped.
    #[error("guest memory of {len:#x} bytes at {address:#x}: {reason}")]
    BadMemory {
        /// Where the guest would see it.
        address: u64,
        /// How long it is.
        len: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The host lacks something.
    #[error("this host cannot run the machine: {0}")]
    HostLacks(&'static str),
    /// The operating system refused.
    #[error("{operation} failed: {source}{}", mend(operation, source))]
    Os {
        /// What was tried.
        operation: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// What to do about a refused operation, where that is known.
fn mend(operation: &str, source: &io::Error) -> &'static str {
    match (operation, source.kind()) {
        ("opening /dev/kvm", io::ErrorKind::NotFound) => {
            " (load the kvm module for your processor and enable virtualization in the firmware)"
        }
        ("opening /dev/kvm", io::ErrorKind::PermissionDenied) => {
            " (run as root or as a member of the group kvm)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_kvm_names_its_mend() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        let operation = "opening /dev/kvm";
        let error = VcpuError::Os { operation, source };
        assert!(error.to_string().contains("load the kvm module"), "{error}");
    }
}
