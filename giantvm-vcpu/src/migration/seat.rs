//! What one node knows of one vCPU.

use giantvm_core::NodeId;

use super::kept::Kept;
use super::place::{MoveEpoch, Place};
use super::step::Outcome;
use crate::state::ArchState;

/// See the table on the module's front page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Seat {
    Here {
        epoch: MoveEpoch,
    },
    Freezing {
        epoch: MoveEpoch,
        to: NodeId,
        kept: Kept,
    },
    /// Moving to `next`, if that loads `state`.
    Leaving {
        epoch: MoveEpoch,
        next: Place,
        state: Box<ArchState>,
        kept: Kept,
    },
    /// Did not get to `to`.
    Returning {
        epoch: MoveEpoch,
        to: NodeId,
        outcome: Outcome,
        kept: Kept,
    },
    Elsewhere(Place),
    /// Being loaded, and here from `epoch` on, if the place where it `was` commits.
    Arriving {
        epoch: MoveEpoch,
        was: Place,
    },
    Loaded {
        epoch: MoveEpoch,
        was: Place,
    },
}

impl Seat {
    /// The newest place that is known, of which `local` may be one.
    pub(super) fn place(&self, local: NodeId) -> Place {
        match *self {
            Self::Here { epoch }
            | Self::Freezing { epoch, .. }
            | Self::Leaving { epoch, .. }
            | Self::Returning { epoch, .. } => Place { node: local, epoch },
            Self::Elsewhere(place)
            | Self::Arriving { was: place, .. }
            | Self::Loaded { was: place, .. } => place,
        }
    }
}
