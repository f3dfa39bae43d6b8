//! What a [`Residence`](super::Residence) refuses.

use giantvm_core::{NodeId, VcpuId};

use super::place::{MoveEpoch, Place};

/// Why a move cannot begin. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoveRefused {
    /// The machine has no such vCPU.
    #[error("the machine has no vCPU {0}")]
    NoSuchVcpu(VcpuId),
    /// The machine has no such node, or has lost it.
    #[error("there is no node {0} to move to")]
    NoSuchNode(NodeId),
    /// The vCPU is not on this node.
    #[error("vCPU {vcpu} is on node {}", place.node)]
    NotHere {
        /// The vCPU.
        vcpu: VcpuId,
        /// Where it is, as far as is known here.
        place: Place,
    },
    /// The vCPU is there already.
    #[error("vCPU {0} is there already")]
    AlreadyThere(VcpuId),
    /// An earlier move of the vCPU has not ended.
    #[error("vCPU {0} is moving: one move of a vCPU at a time")]
    Moving(VcpuId),
    /// It moved 2^64 - 1 times.
    #[error("vCPU {0} has moved too often")]
    TooOften(VcpuId),
}

/// What no peer that keeps the rules sends. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The machine has no such vCPU.
    #[error("the machine has no vCPU {0}")]
    NoSuchVcpu(VcpuId),
    /// A message about a move that is not under way with its sender.
    #[error("vCPU {vcpu} does not make the move to epoch {epoch} with node {from}")]
    NoSuchMove {
        /// The vCPU.
        vcpu: VcpuId,
        /// The epoch of the message.
        epoch: MoveEpoch,
        /// Who sent it.
        from: NodeId,
    },
    /// A vCPU arrives that is here, or is known to have moved on.
    #[error("vCPU {vcpu} cannot arrive with epoch {epoch}: epoch {known} is known")]
    Stale {
        /// The vCPU.
        vcpu: VcpuId,
        /// The epoch of the message.
        epoch: MoveEpoch,
        /// The epoch that is known here.
        known: MoveEpoch,
    },
    /// Something about a place that is not known here, and would be if the sender's word were true.
    #[error("nothing is known here of epoch {epoch} of vCPU {vcpu}")]
    Unknown {
        /// The vCPU.
        vcpu: VcpuId,
        /// The epoch of the message.
        epoch: MoveEpoch,
    },
}

/// What [`Residence::handle`](super::Residence::handle) refuses. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResidenceError {
    /// A move cannot begin.
    #[error(transparent)]
    Refused(#[from] MoveRefused),
    /// A peer breaks the rules.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The driver tells of something that was not asked of it.
    #[error("no such step of vCPU {0} is under way")]
    NotAsked(VcpuId),
}
