//! What a check finds, in words.

use std::fmt;

use super::check::{Model, Scope};
use super::operation::Step;

/// Why no memory of the asked kind can have given this history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A value was read that no one ever wrote to that word.
    #[error("a value from nowhere: {0}")]
    Phantom(Step),
    /// Two exchanges saw the same value: one of them overwrote the other unseen.
    #[error("a lost update: {0} and {1} saw the same value")]
    LostUpdate(Step, Step),
    /// Operations that each have to come before the next, and the last before the first.
    #[error(transparent)]
    Cycle(#[from] Cycle),
    /// The recorder's fault: a value was written to a word twice, or is the initial zero.
    #[error("a value that is not unique: {0}")]
    NotUnique(Step),
    /// The history has more operations or threads than a check may take memory for.
    #[error("a history of {operations} operations by {threads} threads is too large")]
    TooLarge {
        /// Operations there are.
        operations: usize,
        /// Threads there are.
        threads: usize,
    },
    /// The order of the writes did not settle in as many rounds as a check may take.
    #[error("the order of writes did not settle in {0} rounds: the history is not decided")]
    Unsettled(usize),
}

/// Why one operation comes before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A thread did them in this order, and the model keeps it.
    Program,
    /// The second saw what the first wrote.
    Seen,
    /// The first saw a value that the second overwrote.
    Overwrote,
    /// Both wrote the word, whose own reads show this order.
    Line,
    /// Both wrote the word, and this operation, later than the first, still saw the second.
    Outlived(Step),
}

/// One line of a [`Cycle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// An operation that has to come before that of the next link.
    pub step: Step,
    /// Why it has to.
    pub reason: Reason,
}

/// Operations that cannot be put in any order: the shortest such circle that was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Cycle {
    /// What was to be ordered.
    pub scope: Scope,
    /// By which rules.
    pub model: Model,
    /// Each before the next, the last before the first.
    pub links: Vec<Link>,
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scope,
            model,
            links,
        } = self;
        write!(f, "no order of {scope} explains this ({model}):")?;
        let next = links.iter().cycle().skip(1);
        for (Link { step, reason }, next) in links.iter().zip(next) {
            let next = next.step;
            write!(f, "\n  {step} comes before {next}: ")?;
            match reason {
                Reason::Program => write!(f, "their thread did them in this order")?,
                Reason::Seen => write!(f, "it was seen")?,
                Reason::Overwrote => write!(f, "it saw an older value")?,
                Reason::Line => write!(f, "that word's own reads show it")?,
                Reason::Outlived(by) => write!(f, "after the first, {by} still saw the second")?,
            }
        }
        Ok(())
    }
}
