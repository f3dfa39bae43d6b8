//! vCPUs on KVM.
//!
//! Every node's VM has all vCPUs of the machine, each with a local APIC in the kernel. Those of
//! the node run guest code; each of the others is a proxy, which hands what arrives to the host's
//! [`InterruptSink`](crate::InterruptSink). The crate's front page says why. When a vCPU moves, it and
//! its proxy on the other node change places, and nothing else changes.

mod access;
mod cpu;
mod cpuid;
mod host;
mod image;
mod ioctl;
mod kick;
mod machine;
mod memory;
mod moves;
mod pins;
mod poison;
mod proxies;
mod proxy;
mod quiet;
mod registers;
mod state;
mod support;
mod timer;
mod vcpu;
mod walks;

use std::io;

pub use host::KvmHost;
pub use support::{Check, Support};
pub use walks::PageTableWalks;

use crate::error::VcpuError;

/// The error of a system call that failed with this number.
fn os(operation: &'static str, errno: i32) -> VcpuError {
    let source = io::Error::from_raw_os_error(errno);
    VcpuError::Os { operation, source }
}

/// [`os`] for `map_err`.
fn errno(operation: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> VcpuError {
    move |error| os(operation, error.errno())
}

/// The result of a raw ioctl just made.
fn check(operation: &'static str, result: i32) -> Result<(), VcpuError> {
    match result {
        0.. => Ok(()),
        _ => Err(os(operation, kvm_ioctls::Error::last().errno())),
    }
}
