//! The engine: drives a coherence protocol over a transport and a backing.
//!
//! Each node has one *pump* thread. It alone touches the protocol and the backing, reads page
//! faults and frames, and carries out each input's commands completely before it takes the next
//! input. There is no lock on the fault path, and no invalidation can fall between a state
//! transition and the mapping that goes with it: they happen on one thread, one after the other.
//!
//! The pump never waits for a peer and never touches the memory it serves. Frames of other
//! services arrive on it too and go to the [`FrameHandler`]s registered for them, which must not
//! block and must not touch the shared memory either.
//!
//! ```text
//!   vCPU, device, plain threads ──fault──▶ backing ─┐
//!                                                   ├─▶ pump: driver(protocol) ─▶ backing, transport
//!   other nodes ───────────frames──▶ transport ─────┘        └─▶ frame handlers (interrupts, I/O)
//! ```

mod ahead;
pub(crate) mod batch;
pub(crate) mod budget;
mod crowd;
mod departure;
mod driver;
pub(crate) mod execute;
mod farewells;
mod finish;
mod gather;
mod handle;
mod heat;
mod hold;
mod hooks;
pub(crate) mod letter;
mod migratory;
mod options;
mod orders;
mod outlet;
pub mod parcel;
mod pin;
pub(crate) mod pins;
mod primitives;
mod priority;
mod pump;
mod refused;
mod runtime;
pub(crate) mod sequence;
mod sheaf;
mod sleep;
mod spin;
mod stats;
mod stop;
mod terms;

pub use departure::{Bandwidth, DepartError};
pub use driver::Driver;
pub use handle::{Dsm, FinishError, StartError};
pub use heat::{GroupStall, PageHeat, STALL_GROUP, StallGauge, Stalls, ThreadStall};
pub use hooks::{FaultWatcher, FrameHandler, Handlers, Refusal, ServedFault, Watcher};
pub use options::{DsmOptions, MemoryBudget};
pub use pin::{Pin, PinError};
pub use priority::Priority;
pub use refused::Refused;
pub use spin::Waiting;
pub use stats::{DsmStats, FaultKind, MemoryStats};
pub use terms::TermsDiffer;

/// Bytes of metadata that a page costs a node at most, with the default protocol: its word, its
/// directory entry on its home, and a byte each of the backing and of a memory budget.
pub const BYTES_PER_PAGE: usize = crate::protocol::directory::BYTES_PER_PAGE
    + crate::backing::BYTES_PER_PAGE
    + budget::BYTES_PER_PAGE;

const _: () = assert!(BYTES_PER_PAGE <= 24);
