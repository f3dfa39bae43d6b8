//! What a thread did, and where.

use std::fmt;

use giantvm_core::PageIndex;

/// A word of the shared memory. All words are zero at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The page.
    pub page: PageIndex,
    /// The word's number within its page.
    pub word: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {} word {}", self.page, self.word)
    }
}

/// What was done to a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A plain read, with the value it saw.
    Load(u64),
    /// A plain write. No other write to the word has this value, and it is not zero.
    Store(u64),
    /// An atomic exchange: a read and a write in one step, and a full fence.
    Swap {
        /// The value it wrote, as of a store.
        value: u64,
        /// The value it saw.
        previous: u64,
    },
}

impl Action {
    /// The value that was seen.
    pub(super) const fn seen(self) -> Option<u64> {
        match self {
            Self::Load(seen) | Self::Swap { previous: seen, .. } => Some(seen),
            Self::Store(_) => None,
        }
    }

    /// The value that was written.
    pub(super) const fn written(self) -> Option<u64> {
        match self {
            Self::Store(value) | Self::Swap { value, .. } => Some(value),
            Self::Load(_) => None,
        }
    }
}

/// An operation of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation {
    /// The word.
    pub location: Location,
    /// What was done to it.
    pub action: Action,
}

/// An operation and its place in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// The thread.
    pub thread: usize,
    /// How many operations the thread did before.
    pub index: usize,
    /// The operation.
    pub operation: Operation,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { thread, index, .. } = self;
        let Operation { location, action } = self.operation;
        write!(f, "thread {thread} #{index} ")?;
        match action {
            Action::Load(seen) => write!(f, "load of {location} = {seen:#x}"),
            Action::Store(value) => write!(f, "store to {location} := {value:#x}"),
            Action::Swap { value, previous } => {
                write!(f, "swap of {location} = {previous:#x} := {value:#x}")
            }
        }
    }
}
