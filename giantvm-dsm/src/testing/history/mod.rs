//! Recorded reads and writes, and whether any coherent memory can have given them.
//!
//! A [`History`] is what the threads of all nodes did to words of the shared memory, each thread's
//! operations in its own order. There are no clocks in it: recording needs nothing but a list a
//! thread, so it does not disturb what it records. All values written to a word are different, so
//! every read names the write that it saw. [`History::check`] looks for an order of all operations
//! in which every read sees the last write; if there is none it says why not.
//!
//! Known are each thread's own order, as far as the [`Model`] keeps it, and that a write comes
//! before the reads that saw it. An exchange comes right after the write that it saw, so the
//! writes of a word that only exchanges write are in one exact line. Of others, reads betray the
//! order: if a write comes before a read that saw another write of the word, it comes before that
//! other too; and a read comes before all writes that follow the one it saw. This is repeated until
//! nothing new follows. A cycle in all this is a violation, always. Without a cycle there is an
//! order if each word's writes are in one line; [`Checked::open`] counts the words where they are
//! not. (To decide those takes, in the worst case, time exponential in the history.)
//!
//! With n operations of t threads a round takes time O(n t (t + log n)) and memory O(n t); the
//! rounds are two for words that are only exchanged, and a handful for others. Every limit is
//! checked: a history is refused rather than decided wrongly.
//!
//! ```
//! use giantvm_core::PageIndex;
//! use giantvm_dsm::testing::history::{Action, History, Location, Model, Operation, Scope};
//!
//! let on = |page, action| Operation {
//!     location: Location { page: PageIndex(page), word: 0 },
//!     action,
//! };
//! let data = on(0, Action::Store(7));
//! let flag = on(1, Action::Store(8));
//! let reader = |seen| vec![on(1, Action::Load(8)), on(0, Action::Load(seen))];
//!
//! let history = History::new(vec![vec![data, flag], reader(7)]);
//! assert!(history.check(Scope::All, Model::TotalStoreOrder).is_ok());
//!
//! // The reader knows of the flag but not of the data that was written before it.
//! let history = History::new(vec![vec![data, flag], reader(0)]);
//! assert!(history.check(Scope::Word, Model::Sequential).is_ok());
//! let error = history.check(Scope::All, Model::TotalStoreOrder).unwrap_err();
//! assert!(error.to_string().contains("no order of all operations explains this"));
//! ```

mod check;
mod clocks;
mod cycle;
mod graph;
mod operation;
mod part;
mod settle;
#[cfg(test)]
mod tests;
mod trail;
mod violation;

pub use check::{Checked, Model, Scope};
pub use operation::{Action, Location, Operation, Step};
pub use violation::{Cycle, Link, Reason, Violation};

/// What threads did, each in its own order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    threads: Vec<Vec<Operation>>,
}

impl History {
    /// One list a thread.
    #[must_use]
    pub const fn new(threads: Vec<Vec<Operation>>) -> Self {
        Self { threads }
    }

    /// How many operations there are.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.threads.iter().map(Vec::len).sum()
    }

    /// Looks for an order of the operations: first within each word, then within `scope`.
    ///
    /// # Errors
    /// [`Violation`] says why there is none, or why it was not looked for.
    pub fn check(&self, scope: Scope, model: Model) -> Result<Checked, Violation> {
        check::check(self, scope, model)
    }
}
