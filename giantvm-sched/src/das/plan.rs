//! What a plan says.

use giantvm_core::NodeId;

use crate::schedule::{Nanos, PageGroup, ThreadId};

/// One thing that goes from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// A thread, or a vCPU if that is what is placed.
    Thread {
        /// Which one.
        thread: ThreadId,
        /// Where it is.
        from: NodeId,
        /// Where it is to run.
        to: NodeId,
    },
    /// The home of a group of pages.
    Home {
        /// Which pages.
        group: PageGroup,
        /// Their home, as far as is known.
        from: NodeId,
        /// Their home from now on.
        to: NodeId,
    },
}

/// What a step is good for: what most of its gain comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Threads that take pages from one another come together.
    Sharing,
    /// Threads go to the home of the pages that they wait for.
    ToPages,
    /// Pages come to the threads that wait for them.
    ToThreads,
    /// Threads wait less for a processor.
    Balance,
}

/// Moves that make sense together: carry out all of them or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The moves; at least one.
    pub moves: Vec<Move>,
    /// Lost time that they are expected to save, in ns a second.
    pub gain: u64,
    /// What they are expected to take, once.
    pub cost: Nanos,
    /// What they are good for.
    pub why: Why,
}

/// What is to be moved now, the best first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// How many alternatives were weighed for that: what planning cost.
    pub weighed: u64,
}

impl Plan {
    /// All moves, in order.
    pub fn moves(&self) -> impl Iterator<Item = Move> + '_ {
        self.steps
            .iter()
            .flat_map(|step| step.moves.iter().copied())
    }
}
