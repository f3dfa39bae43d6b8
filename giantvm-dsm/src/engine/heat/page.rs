//! What is told of one page.

use giantvm_core::{NodeSet, PageIndex};

/// Turns that make a pattern.
const FEW: u32 = 4;

/// How one node used one page of late. Events count half after ten seconds, a quarter after twenty,
/// and some of them may be missing, never one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageHeat {
    /// The page.
    pub page: PageIndex,
    /// Faults of local threads that tried to load.
    pub reads: u32,
    /// Faults of local threads that tried to store.
    pub writes: u32,
    /// How often it, or the right to write it, was taken away from here.
    pub taken: u32,
    /// How often a local thread asked for it again right after that: within ten milliseconds.
    pub turns: u32,
    /// The nodes that took it or sent it, as far as they are known here.
    pub peers: NodeSet,
}

impl PageHeat {
    /// All events together: what pages are ordered by.
    #[must_use]
    pub const fn heat(&self) -> u64 {
        self.faults() + self.taken as u64
    }

    /// Faults of local threads.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.reads as u64 + self.writes as u64
    }

    /// Whether it goes to and fro: of the times that it was asked for here, it had just left in one
    /// of three at least. A turn that reads and then writes takes two faults.
    #[must_use]
    pub const fn is_ping_pong(&self) -> bool {
        self.turns >= FEW && self.turns as u64 * 3 >= self.faults()
    }
}
