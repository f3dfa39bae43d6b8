//! Page-granular distributed shared memory on stock Linux.
//!
//! * [`protocol`]: what a coherence protocol is (a pure state machine) and the default one.
//! * [`backing`]: where a node keeps its pages and how access to them is granted and taken.
//! * [`engine`]: drives a protocol over a transport and a backing.
//! * [`view`]: the shared memory as a guest's memory or as a value of a Rust type.
//! * [`sync`]: a lock and a barrier that live in the shared memory.
//! * [`uffd`]: page faults served in user space.
//!
//! This crate does not manage virtual machines: it shares memory between processes, and a guest's
//! RAM is one use of it.

pub mod backing;
pub mod engine;
pub mod mutants;
pub mod protocol;
pub mod sync;
#[cfg(feature = "testing")]
pub mod testing;
pub mod uffd;
pub mod view;
