//! The machine's life cycle: whatever ends it, on whichever node, ends it on all.
//!
//! [`Lifecycle`] is a state machine without I/O. A node feeds in what happens to it and what the
//! others say, and carries out the [`Command`]s: stop the vCPUs, send, finish.

mod lifecycle;
mod message;
mod stop;

pub use lifecycle::{Command, Event, Lifecycle, LifecycleViolation, Phase};
pub use message::{FIRST_FREE_KIND, MachineMessage};
pub use stop::{Cause, Stop};
