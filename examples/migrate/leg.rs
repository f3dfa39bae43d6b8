//! One way from a node to the other.

use std::time::Duration;

use crate::speed::{Step, recovery};

/// What a move took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Leg {
    /// Bytes on the wire, both ways, until the work was done for a while on the other side.
    pub(crate) bytes: u64,
    /// From the decision until full speed on the other side.
    pub(crate) full: Option<Duration>,
    /// Time the work lost.
    pub(crate) lost: Duration,
    /// How long it stood still.
    pub(crate) downtime: Duration,
    /// Rounds of pre-copy while it ran; none where nothing is copied before.
    pub(crate) rounds: u32,
}

impl Leg {
    /// Of these steps, with what a step usually takes.
    pub(crate) fn of(bytes: u64, steps: &[Step], usual: Duration) -> Self {
        let recovery = recovery(steps, usual);
        Self {
            bytes,
            full: recovery.full,
            lost: recovery.lost,
            ..Self::default()
        }
    }
}

/// There and back again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trip {
    pub(crate) legs: [Leg; 2],
    /// How long a step takes when nothing moves.
    pub(crate) usual: Duration,
    /// Steps that were done in all.
    pub(crate) steps: u64,
}
