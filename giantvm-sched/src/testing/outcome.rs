//! What came of a simulation.

use crate::schedule::Nanos;

/// What was done and waited for, all together and in the second half alone, when a scheduler has
/// seen enough.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Accesses of each thread in the second half.
    pub done: Vec<u64>,
    /// Accesses of all threads.
    pub all_done: u64,
    /// Faults that another node had to answer.
    pub faults: u64,
    /// Those of the second half.
    pub late_faults: u64,
    /// What they took.
    pub stall: Nanos,
    /// Moves of threads to another node.
    pub moves: u64,
    /// Those of the second half.
    pub late_moves: u64,
    /// Moves of homes that were asked for.
    pub rehomed: u64,
    /// Events that the scheduler refused; none is right.
    pub refused: u64,
}

impl Outcome {
    /// Accesses of all threads in the second half.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.done.iter().sum()
    }
}
