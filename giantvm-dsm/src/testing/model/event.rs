//! What may happen in a small world.

use std::fmt;

use giantvm_core::{NodeId, PageIndex};

use crate::protocol::{Access, Contents};

/// Something that may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A thread's access faults.
    Fault {
        /// Its node.
        at: NodeId,
        /// The page.
        page: PageIndex,
        /// What it tries.
        access: Access,
    },
    /// A thread stores a value that was never there.
    Store {
        /// Its node.
        at: NodeId,
        /// The page.
        page: PageIndex,
    },
    /// The next message of a class arrives.
    Deliver {
        /// Its sender.
        from: NodeId,
        /// Its receiver.
        to: NodeId,
        /// Its class.
        class: Contents,
    },
    /// A time-out comes.
    Timeout {
        /// The node.
        at: NodeId,
    },
    /// A node has no room for a page.
    Evict {
        /// The node.
        at: NodeId,
        /// The page.
        page: PageIndex,
    },
    /// A device begins to work on a page.
    Pin {
        /// The node.
        at: NodeId,
        /// The page.
        page: PageIndex,
    },
    /// A device is done with a page.
    Unpin {
        /// The node.
        at: NodeId,
        /// The page.
        page: PageIndex,
    },
    /// A node hears from another beside the shared memory.
    Hear {
        /// The sender.
        from: NodeId,
        /// The receiver.
        to: NodeId,
    },
    /// A node begins to leave.
    Leave {
        /// The node.
        at: NodeId,
        /// Who takes its part over.
        heir: NodeId,
    },
    /// A node that leaves goes on doing so.
    GoOn {
        /// The node.
        at: NodeId,
    },
    /// A node that has left comes back.
    Return {
        /// The node.
        at: NodeId,
    },
    /// A node stops, with all that is on the way to it.
    Die {
        /// The node.
        node: NodeId,
    },
    /// A node learns of it. What the dead one sent and did not arrive never does.
    Lose {
        /// The node that learns.
        at: NodeId,
        /// The dead one.
        node: NodeId,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault { at, page, access } => write!(f, "node {at}: {access:?} fault on {page}"),
            Self::Store { at, page } => write!(f, "node {at}: stores to {page}"),
            Self::Deliver { from, to, class } => {
                let what = match class {
                    Contents::Nothing => "message",
                    Contents::Page => "page",
                };
                write!(f, "node {to} <- {from}: the next {what}")
            }
            Self::Timeout { at } => write!(f, "node {at}: time-out"),
            Self::Evict { at, page } => write!(f, "node {at}: has no room for {page}"),
            Self::Pin { at, page } => write!(f, "node {at}: pins {page}"),
            Self::Unpin { at, page } => write!(f, "node {at}: unpins {page}"),
            Self::Hear { from, to } => write!(f, "node {to} <- {from}: signal"),
            Self::Leave { at, heir } => write!(f, "node {at}: leaves in favour of node {heir}"),
            Self::GoOn { at } => write!(f, "node {at}: goes on leaving"),
            Self::Return { at } => write!(f, "node {at}: comes back"),
            Self::Die { node } => write!(f, "node {node} dies"),
            Self::Lose { at, node } => write!(f, "node {at} loses {node}"),
        }
    }
}
