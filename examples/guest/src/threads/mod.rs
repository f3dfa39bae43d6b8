//! Many threads on few vCPUs: programs run on threads that any vCPU can carry on with.
//!
//! A thread has a stack in guest memory, and what it is about to do is on it: so whichever vCPU
//! loads its stack pointer carries on with it, also on another node, to which the pages of the stack then
//! come like any others. A vCPU that carries threads is a *carrier*. It loads one, and has the
//! processor back when the thread asks for something: at a barrier, at its end, after a bounded amount of
//! work, or for a device. Threads are cooperative: in between nobody takes their processor.
//!
//! Which thread a carrier loads is decided by a scheduler on the host ([`word`]): a carrier says what
//! its thread came to by one read of a register, and the value read is the next thread.
//!
//! ```text
//!   thread 0 ─┐  asks: barrier, work done, device   ┌─ carrier of vCPU 0 ─┐  read: what now?
//!   thread 1 ─┼───────────────────────────────────▶ │                     ├───────────────────▶ host
//!   thread 2 ─┘ ◀─────────────────────────────────  └─ carrier of vCPU 1 ─┘ ◀── thread to run
//! ```
//!
//! To a program a thread is a [`Machine`](crate::Machine) like a vCPU. Nothing on a thread's stack
//! is about the vCPU that it runs on: what a carrier has is its own. The same code carries threads on
//! host threads that stand for vCPUs, in one process or in several of one program that have the memory, and
//! the program itself, at the same addresses.

mod arena;
mod carrier;
mod switch;
mod thread;
pub mod word;

pub use arena::{ARENA, programs_end};
pub use carrier::carry;

/// Most threads: as many as vCPUs, as each has a mailbox of its own.
pub const MAX_THREADS: u32 = crate::abi::MAX_VCPUS;
