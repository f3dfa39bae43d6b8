//! vCPUs that are threads: for machines, and tests, without /dev/kvm.
//!
//! A [`ThreadHost`] runs one *program*, a closure, on a host thread for each of its vCPUs. What a
//! guest would do by instructions the program does by methods of [`ThreadCpu`]: access ports and
//! device memory, interrupt others, wait. Everything above [`VcpuHost`](crate::VcpuHost) sees the
//! same exits as from KVM.
//!
//! A program cannot be stopped between two calls of its [`ThreadCpu`]: pauses take effect, and an
//! INIT ends it, at its next call. And its state is on its thread's stack: it can be moved to another
//! node only where it says so, by [`ThreadCpu::may_move`], and starts there with what it saved.

mod cell;
mod cpu;
mod host;
mod state;
mod vcpu;

pub use cpu::{Start, ThreadCpu};
pub use host::{Program, ThreadHost};
