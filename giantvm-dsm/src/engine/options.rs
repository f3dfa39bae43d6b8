//! What a node can be told about how it serves.

use super::spin::Waiting;
use crate::backing::Choice;

/// How a node serves its memory. Every node may have its own; the defaults are good.
///
/// ```
/// use giantvm_dsm::engine::{DsmOptions, Waiting};
///
/// let mut options = DsmOptions::default();
/// options.waiting = Waiting::Latency;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DsmOptions {
    /// How the kernel is told who may reach which page.
    pub backing: Choice,
    /// How the pump waits.
    pub waiting: Waiting,
}
