//! Views of the shared memory: as a guest's physical memory, and as a value of a Rust type.
//!
//! A thread that touches a page through a view waits until this node has the rights to it, which
//! may take several round trips. **Never use a view on the thread that drives the backing**: it
//! would wait for itself, for ever.

mod memory;
mod region;
mod typed;

pub use memory::{DsmMemory, ViewError};
pub use region::DsmRegion;
pub use typed::{Region, RegionError};
