//! What a policy is, and the one that does nothing.

use super::fleet::Fleet;
use super::plan::Move;
use crate::schedule::Nanos;

/// Decides what moves.
///
/// ```
/// use giantvm_sched::reallocate::{Fleet, Move, Policy};
/// use giantvm_sched::schedule::Nanos;
///
/// /// Never satisfied, and yet lazy.
/// #[derive(Debug)]
/// struct Sleepy;
///
/// impl Policy for Sleepy {
///     fn name(&self) -> &'static str {
///         "sleepy"
///     }
///
///     fn decide(&mut self, _now: Nanos, _fleet: &Fleet) -> Vec<Move> {
///         Vec::new()
///     }
/// }
/// ```
pub trait Policy {
    /// Its name, for tables.
    fn name(&self) -> &'static str;

    /// Says what is to be moved from now on. The caller begins with all of it, in order; a move is
    /// done when its [`Cost::took`](super::Cost::took) is over.
    fn decide(&mut self, now: Nanos, fleet: &Fleet) -> Vec<Move>;
}

/// Leaves everything where it was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Static;

impl Policy for Static {
    fn name(&self) -> &'static str {
        "static"
    }

    fn decide(&mut self, _now: Nanos, _fleet: &Fleet) -> Vec<Move> {
        Vec::new()
    }
}
