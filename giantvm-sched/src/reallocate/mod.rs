//! Reallocation: when a host's own tenant needs its processors, vCPUs go elsewhere.
//!
//! Where latency-critical services share hosts with machines that work in the background, the services
//! come first: what they leave changes by the second. A machine that cannot move gets what is left of
//! its hosts, while others idle. Live migration moves a machine, or what it has on a host, with all of
//! its memory. A machine that is spread over hosts anyway need only move vCPUs, or the threads on them:
//! the pages that they use follow.
//!
//! This is the policy for that, as a value without a clock. `examples/colocate` runs it on a simulated
//! fleet of a thousand hosts; a driver feeds it what its hosts say and carries out its moves in the
//! same way.
//!
//! # Decision
//!
//! Every [`period`](Parameters::period), for a [`Fleet`] as it is now:
//!
//! 1. Hosts whose vCPUs would use more than there is are *crowded*. The worst comes first.
//! 2. Of each machine there, a vCPU (or all it has there, see [`Unit`]) is weighed against going to
//!    where the machine is already, and to where there is most room.
//! 3. The *gain* is the processor time that is regained, less what the machine loses by being further
//!    apart ([`Footprint::stall`]). It has to be twice the *cost* within the horizon. The choice that is
//!    best by that is taken, until the host is not crowded or nothing pays.
//! 4. Where a machine has come apart and there is room again, its vCPUs gather.
//!
//! Live migration is the same policy with another unit and its own costs, those of
//! [`precopy`](crate::precopy): it is as far-sighted and as careful.
//!
//! # Invariants
//!
//! Held for arbitrary fleets by `tests/reallocate.rs`.
//!
//! * Nothing goes where there is no room for it, so no move makes a host crowded.
//! * Constant capacities lead to a bounded number of moves, and then none.
//! * What was moved stays for its residency, which doubles with each further move.
//! * Links are not promised more bytes than they carry.
//! * The same input leads to the same moves: all arithmetic is on integers.

mod cost;
mod draft;
mod fleet;
mod footprint;
mod ids;
mod mover;
mod params;
mod past;
mod plan;
mod policy;
mod rooms;

pub use fleet::{Fleet, FleetError, MAX_HOSTS, MAX_VMS, WHOLE};
pub use footprint::Footprint;
pub use ids::{HostId, VmId};
pub use mover::{Mover, Unit};
pub use params::Parameters;
pub use plan::{Cost, Move, What};
pub use policy::{Policy, Static};
