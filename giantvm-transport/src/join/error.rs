//! Why a node does not join its cluster.

use std::time::Duration;

use super::progress::List;
use super::{ConfigError, Missing};
use crate::handshake::HandshakeError;

/// Why a join failed: one line each, with a mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The configuration cannot be right.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// Another process listens on this node's port.
    #[error(
        "port {port} of {address} is in use: stop the process that listens there (`ss -ltnp`), or give node `{name}` another port in every node's table"
    )]
    AddressInUse {
        /// This node's name.
        name: String,
        /// The address.
        address: String,
        /// The port alone.
        port: u16,
    },
    /// This host cannot listen at the node's address.
    #[error("cannot listen at {address}: {reason}; is it an address of this host?")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// A handshake showed that this node or the peer is set up wrongly.
    #[error("cannot join with {peer}: {error}")]
    Handshake {
        /// Who was on the other side, as far as is known.
        peer: String,
        /// What was found.
        #[source]
        error: HandshakeError,
    },
    /// The host of a missing node could not be reached up to the deadline.
    #[error(
        "node {missing}: gave up after {} s; check the address, the network and firewalls", waited.as_secs()
    )]
    Unreachable {
        /// The node.
        missing: Missing,
        /// How long it was tried.
        waited: Duration,
    },
    /// The deadline passed before all nodes were there.
    #[error(
        "still missing after {} s: {}; start them, or allow more time{}",
        waited.as_secs(), List(missing), refused_suffix(refused.as_deref())
    )]
    Deadline {
        /// How long this node waited.
        waited: Duration,
        /// The missing nodes.
        missing: Vec<Missing>,
        /// The last connection that was refused, and why.
        refused: Option<String>,
    },
    /// A node went away when all were already there.
    #[error("node `{0}` went away while the cluster started: see its messages, then start again")]
    Left(String),
    /// The system failed this node.
    #[error("cannot join: {0}")]
    System(String),
}

fn refused_suffix(refused: Option<&str>) -> String {
    refused.map_or_else(String::new, |refused| format!("; refused {refused}"))
}
