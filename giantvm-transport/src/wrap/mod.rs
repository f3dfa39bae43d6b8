//! Transports that stack on any other one.

mod faulty;
mod held;
mod recording;

pub use faulty::{Faults, Faulty};
pub use recording::{Direction, Record, Recording};
