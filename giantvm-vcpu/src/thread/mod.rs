//! vCPUs that are threads: for machines, and tests, without /dev/kvm.
//!
//! A [`ThreadHost`] runs one *program*, a closure, on a host thread for each of its vCPUs. What a
//! guest would do by instructions the program does by methods of [`ThreadCpu`]: access ports and
//! device memory, interrupt others, wait. Everything above [`VcpuHost`](crate::VcpuHost) sees the
//! same exits as from KVM.
//!
//! A program cannot be stopped between two calls of its [`ThreadCpu`]: pauses take effect, and an
//! INIT ends it, at its next call.

mod cell;
mod cpu;
mod host;
mod vcpu;

pub use cpu::{Start, ThreadCpu};
pub use host::{Program, ThreadHost};
