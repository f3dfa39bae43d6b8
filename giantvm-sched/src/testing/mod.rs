//! A simulated cluster to try schedulers on: threads, vCPUs, pages that go to and fro.
//!
//! [`simulate`] runs a [`Workload`] under a [`Scheduler`](crate::schedule::Scheduler) in virtual
//! time and counts what got done and what was waited for. It is small and exact rather than
//! realistic: every access is an event, so who takes a page from whom is seen as it would be.
//!
//! What it has: nodes with vCPUs, links with latencies, pages with one writer or many readers and a
//! home, threads that compute, load, store, wait at barriers, and move at a price. What it does not
//! have: bandwidth, limits of memory, read-ahead, time to decide. It says which of two placements is
//! better, not by how much a real machine would be.

mod memory;
mod outcome;
mod simulator;
mod thread;
mod workload;

pub use outcome::Outcome;
pub use simulator::simulate;
pub use workload::{Barrier, ThreadSpec, Workload};
