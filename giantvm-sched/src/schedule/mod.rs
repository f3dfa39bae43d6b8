//! Which thread runs on which vCPU, decided while the machine runs.
//!
//! [`Scheduler`] is a state machine: [`Event`]s go in with the time at which they happened, and
//! [`Decision`]s come out. It starts no thread and reads no clock, so a recorded run replays to the
//! same decisions ([`trace`](crate::trace)). Two implementations: [`Fair`](crate::fair::Fair), a
//! model of what Linux does by default, and [`Das`](crate::das::Das), which knows what threads
//! wait for. A third is a hundred lines: `examples/custom_scheduler`.
//!
//! What runs the threads is not here: a guest's thread runtime, or the simulator in `testing`.

mod event;
mod ids;
mod machine;
mod queues;

pub use event::{Capacity, Decision, Event, EventError, Faults, Scheduler};
pub use ids::{GroupSize, Nanos, PageGroup, ThreadId};
pub use machine::{DEFAULT_LINK, MAX_LINK, Machine, MachineError};
pub use queues::RunQueues;

/// Most threads that a scheduler knows at once. One more is refused by name.
pub const MAX_THREADS: usize = 1024;

/// How long a thread runs while others wait for its vCPU: the base slice of Linux on eight or more
/// processors. It is the same for all schedulers here, so that they differ in placement alone.
pub const SLICE: Nanos = Nanos(3_000_000);
