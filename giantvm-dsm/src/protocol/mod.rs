//! Coherence protocols: pure state machines that decide who may read and write which page.
//!
//! A protocol does no I/O, reads no clock and holds no lock. It is fed [`Input`]s one at a time
//! and answers each with [`Command`]s, which its driver carries out in order and completely before
//! it feeds the next input. That is what makes a state transition and the mapping that goes with
//! it one atomic step with respect to every invalidation.

mod api;
mod checks;
mod departure;
pub mod directory;
mod home;
pub mod ivy;
pub mod lease;
mod shares;
mod succession;

pub use api::{
    Access, Attach, CoherenceProtocol, Command, Contents, FrameFate, Input, PageMessage, Rights,
    Setup, Tick, Violation,
};
pub use departure::{CannotDepart, Departing, Departure, Phase};
pub use directory::Directory;
pub use home::{HomeError, HomeMap};
pub use ivy::Ivy;
pub use lease::Lease;
pub use shares::{CapacityError, reserve};
pub use succession::{NoHeir, Room, Succession};
