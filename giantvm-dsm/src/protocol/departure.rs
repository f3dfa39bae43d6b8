//! A node leaves the shared memory while others go on using it.

use giantvm_core::NodeId;

/// What a node is told about its own departure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Departing {
    /// Begin to leave. Ignored if [`refusal`](super::CoherenceProtocol::refusal) has something
    /// against it. At most one node of a cluster may be leaving at a time, which the caller sees to:
    /// of several that begin together some may never be gone, and stay nodes like all others.
    Begin {
        /// The node that becomes what this one was to all others;
        /// [`Succession`](super::Succession) says who has room for that.
        heir: NodeId,
    },
    /// Go on, with up to so many more pages. To be said until the node has left, as fast as the
    /// pages may travel.
    Continue {
        /// How many pages.
        pages: u32,
    },
    /// Take part again; only of a node that has left. Nothing comes back but by use.
    Return,
}

/// How far a departure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Phase {
    /// The node takes part like all others.
    #[default]
    Here,
    /// It takes back the pages whose home had moved from it.
    Recalling,
    /// It tells all others who its heir is, and waits until all know.
    Announcing,
    /// Pages, and its part as their home, leave it.
    Draining,
    /// It has nothing left, says so to all others, and waits until all know. Faults wait.
    Closing,
    /// Nothing of the shared memory is lost if the node is. Faults wait until it returns.
    Left,
}

/// What is known of a node's departure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Departure {
    /// How far it is.
    pub phase: Phase,
    /// Pages that were looked at in this phase.
    pub seen: u64,
    /// Pages there are.
    pub pages: u64,
    /// Pages that were told to go and are not gone.
    pub going: u64,
    /// Pages that were told to go since this departure began.
    pub told: u64,
}

/// A node cannot leave, or not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotDepart {
    /// The protocol has no way to hand a node's part over.
    #[error("under the protocol `{0}` no node can leave the shared memory")]
    Protocol(&'static str),
    /// Homes of pages do not move, so none can leave.
    #[error("homes of pages stay where they are, so no node can leave the shared memory")]
    HomesStay,
    /// The heir is this node, no node of the cluster, or one that has left.
    #[error("node {0} cannot take over what this node leaves behind")]
    Heir(NodeId),
    /// This node is leaving already, or has left.
    #[error("this node is leaving already, or has left")]
    UnderWay,
    /// Another node is leaving.
    #[error("node {0} is leaving; one can at a time")]
    Another(NodeId),
    /// A peer was lost, so nothing moves any more.
    #[error("a node was lost: no page moves any more")]
    Halted,
}
