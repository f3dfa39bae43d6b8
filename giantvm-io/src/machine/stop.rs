//! Why a machine stops.

use std::fmt;

use giantvm_core::{NodeId, VcpuId};

use crate::Origin;
use crate::devices::PowerEvent;

/// What made a machine stop. The order is that of precedence where several happen at a time: the
/// largest is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The guest ended with this status.
    Exit(u32),
    /// The guest switched the machine off.
    Shutdown,
    /// The guest reset the machine.
    Reset,
    /// The guest's kernel panicked, whatever it did then.
    Panicked,
    /// Someone ended a node's process in good order, by Ctrl-C for one.
    Interrupted,
    /// A vCPU faulted while it handled a fault of handling a fault.
    TripleFault,
    /// A node cannot go on: its host failed it, or a peer broke the protocol. The number is the
    /// assembler's own.
    Failed(u32),
    /// A node did not stop in the time its peers gave it.
    TimedOut,
    /// A node is gone, and what only it had is lost.
    NodeLost(NodeId),
}

/// Why a machine stops, and who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stop {
    /// What happened.
    pub cause: Cause,
    /// The node where it happened.
    pub node: NodeId,
    /// The vCPU that did it, if one did.
    pub vcpu: Option<VcpuId>,
}

impl Stop {
    /// A stop that `node` itself has cause for.
    #[must_use]
    pub const fn by_node(node: NodeId, cause: Cause) -> Self {
        Self {
            cause,
            node,
            vcpu: None,
        }
    }

    /// A stop that a vCPU caused.
    #[must_use]
    pub const fn by_vcpu(origin: Origin, cause: Cause) -> Self {
        Self {
            cause,
            node: origin.node,
            vcpu: Some(origin.vcpu),
        }
    }

    /// The stop that a guest asked its power device for.
    #[must_use]
    pub const fn by_power(origin: Origin, event: PowerEvent) -> Self {
        let cause = match event {
            PowerEvent::Exit(status) => Cause::Exit(status),
            PowerEvent::Reset => Cause::Reset,
            PowerEvent::Shutdown => Cause::Shutdown,
            PowerEvent::Panic => Cause::Panicked,
        };
        Self::by_vcpu(origin, cause)
    }

    /// The stop for a lost node, the same whoever says it.
    #[must_use]
    pub const fn by_loss(lost: NodeId) -> Self {
        Self::by_node(lost, Cause::NodeLost(lost))
    }

    /// Whether the machine starts again: after a reset, and after a triple fault as on a PC.
    #[must_use]
    pub const fn restarts(self) -> bool {
        matches!(self.cause, Cause::Reset | Cause::TripleFault)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Exit(status) => write!(f, "the guest exited with status {status}")?,
            Cause::Shutdown => f.write_str("the guest switched the machine off")?,
            Cause::Reset => f.write_str("the guest reset the machine")?,
            Cause::Panicked => f.write_str("the guest's kernel panicked")?,
            Cause::Interrupted => f.write_str("the machine was interrupted")?,
            Cause::TripleFault => f.write_str("a triple fault")?,
            Cause::Failed(code) => write!(f, "the node failed (code {code})")?,
            Cause::TimedOut => f.write_str("a node did not stop in time")?,
            // The node is in the cause already.
            Cause::NodeLost(node) => {
                return write!(
                    f,
                    "node {node} is lost, and with it memory that only it had"
                );
            }
        }
        match self.vcpu {
            Some(vcpu) => write!(f, " (vCPU {vcpu} of node {})", self.node),
            None => write!(f, " (node {})", self.node),
        }
    }
}
