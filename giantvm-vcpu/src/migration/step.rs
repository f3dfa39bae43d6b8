//! What a [`Residence`](super::Residence) is told, and what it says.

use giantvm_core::{NodeId, VcpuId};

use super::message::Message;
use crate::interrupt::Interrupt;
use crate::state::ArchState;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// Move a vCPU of this node.
    Move {
        /// The vCPU.
        vcpu: VcpuId,
        /// Where to.
        to: NodeId,
    },
    /// [`Command::Freeze`] is done: the host has made a proxy of the vCPU.
    Frozen {
        /// The vCPU.
        vcpu: VcpuId,
        /// All that it was.
        state: Box<ArchState>,
    },
    /// [`Command::Freeze`] failed: the vCPU runs on.
    NotFrozen {
        /// The vCPU.
        vcpu: VcpuId,
    },
    /// [`Command::Load`] is done: the host has the vCPU in place of its proxy, and nobody runs it.
    Loaded {
        /// The vCPU.
        vcpu: VcpuId,
    },
    /// [`Command::Load`] failed: the host has the proxy still.
    NotLoaded {
        /// The vCPU.
        vcpu: VcpuId,
    },
    /// Something on this node interrupts a vCPU that the host says is elsewhere: what an
    /// [`InterruptSink`](crate::InterruptSink) is given.
    Interrupt {
        /// The vCPU.
        vcpu: VcpuId,
        /// The interrupt.
        interrupt: Interrupt,
    },
    /// A message of a peer.
    Message {
        /// The peer.
        from: NodeId,
        /// What it says.
        message: Message,
    },
    /// A node is lost. No message of it comes any more.
    Lost(NodeId),
}

/// Something to do, in the order of the commands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// Stop the vCPU, take its state, and make a proxy of it, all at once to whoever interrupts it. Answer
    /// with [`Input::Frozen`] or [`Input::NotFrozen`].
    Freeze {
        /// The vCPU.
        vcpu: VcpuId,
        /// Where it goes: what the host notes as its node.
        to: NodeId,
    },
    /// Put the vCPU in place of its proxy, all at once to whoever interrupts it, and do not run it yet.
    /// Answer with [`Input::Loaded`] or [`Input::NotLoaded`].
    Load {
        /// The vCPU.
        vcpu: VcpuId,
        /// What it is.
        state: Box<ArchState>,
    },
    /// Run the vCPU that was loaded.
    Run {
        /// The vCPU.
        vcpu: VcpuId,
    },
    /// Interrupt the vCPU by [`VcpuHost::inject`](crate::VcpuHost::inject).
    Deliver {
        /// The vCPU.
        vcpu: VcpuId,
        /// The interrupt.
        interrupt: Interrupt,
    },
    /// Note where a vCPU is, by [`VcpuHost::relocate`](crate::VcpuHost::relocate).
    Relocate {
        /// The vCPU.
        vcpu: VcpuId,
        /// Where.
        to: NodeId,
    },
    /// Send a message.
    Send {
        /// To whom.
        to: NodeId,
        /// The message.
        message: Message,
    },
    /// A move that began here has ended: the vCPU can be moved again, from where it is.
    Ended {
        /// The vCPU.
        vcpu: VcpuId,
        /// Where it wanted to go.
        to: NodeId,
        /// How.
        outcome: Outcome,
    },
    /// The vCPU can run nowhere: its state could not be loaded again. The machine has to stop.
    Broken {
        /// The vCPU.
        vcpu: VcpuId,
    },
}

/// How a move ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The vCPU is there.
    Moved,
    /// It could not be stopped, or its state not be told.
    NotFrozen,
    /// The other node could not load it.
    Refused,
    /// The other node was lost.
    Lost,
}
