//! DaS, the DSM-aware scheduler.
mod cluster;
mod cost;
mod decay;
mod evidence;
mod graph;
mod params;
mod plan;
mod planner;
mod scheduler;
mod search;
mod seat;

pub use params::Parameters;
pub use plan::{Move, Plan, Step, Why};
pub use planner::Planner;
pub use scheduler::Das;
