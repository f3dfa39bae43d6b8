//! What the tasks of a join tell its main loop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use giantvm_core::NodeId;
use giantvm_core::wire::Class;

use super::channel::Channel;
use crate::handshake::Hello;
use crate::pipe::ends::Pipes;
use crate::{JoinError, Why};

#[derive(Debug)]
pub(super) enum News {
    /// A connection passed its handshake.
    Link(Link),
    /// A node that was dialed is not there.
    Absent { node: NodeId, why: Why },
    /// A connection from outside was refused.
    Refused(String),
    /// The control connection of a node that was there broke.
    Gone { node: NodeId, generation: u64 },
    /// This node and the process `instance` have pipes to each other.
    Pipes {
        node: NodeId,
        instance: u64,
        pipes: Pipes,
    },
    /// The node and this one have told each other that they have all their links.
    Ready {
        node: NodeId,
        generation: u64,
        control: Channel,
    },
    /// The join cannot succeed.
    Fatal(JoinError),
}

/// A connection that passed its handshake.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) node: NodeId,
    pub(super) class: Class,
    pub(super) instance: u64,
    /// Whether the node is on this host, and both share memory.
    pub(super) shares: bool,
    pub(super) channel: Channel,
    /// Keeps other processes from taking the node's place; none for a node that was dialed.
    pub(super) claim: Option<Claim>,
}

/// A process's hold on a node's place. The place is free once all of its claims are dropped.
pub(super) type Claim = Arc<()>;

/// Which process holds which node's place.
#[derive(Debug, Default)]
pub(super) struct Roster(Mutex<HashMap<NodeId, (u64, Weak<()>)>>);

impl Roster {
    /// A hold on the place of the node that greets; `None` if another process has it.
    pub(super) fn claim(&self, hello: &Hello) -> Option<Claim> {
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = holders.get(&hello.node);
        match held.and_then(|(instance, claim)| Some((*instance, claim.upgrade()?))) {
            Some((instance, claim)) => (instance == hello.instance).then_some(claim),
            None => {
                let claim = Claim::default();
                holders.insert(hello.node, (hello.instance, Arc::downgrade(&claim)));
                Some(claim)
            }
        }
    }
}
