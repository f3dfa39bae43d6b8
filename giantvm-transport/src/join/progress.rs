//! Who is missing while a node waits for its cluster.

use std::fmt;
use std::time::Duration;

use giantvm_core::NodeId;

/// How far a join has come; its `Display` is one line for a person who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How long this node has waited.
    pub waited: Duration,
    /// How long it will wait in all.
    pub deadline: Duration,
    /// Who is missing; when empty, all are there and wait for each other's word.
    pub missing: Vec<Missing>,
    /// The last connection that was refused, and why.
    pub refused: Option<String>,
}

/// A node that has not joined yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its number.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Its address in the table.
    pub address: String,
    /// What is known of it.
    pub why: Why,
}

/// Why a node is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// It has not called this node, or was not called yet.
    #[error("not heard of")]
    NotHeard,
    /// Nothing listens at its address.
    #[error("not started")]
    NotStarted,
    /// Its host cannot be reached.
    #[error("host cannot be reached: {0}")]
    Unreachable(String),
    /// The name of its host cannot be resolved.
    #[error("host name cannot be resolved: {0}")]
    UnknownHost(String),
    /// It was reached, but the handshake did not end well.
    #[error("{0}")]
    Handshake(String),
    /// It is on this host, but no memory can be shared with it.
    #[error("no memory can be shared with it: {0}; let one of the two use sockets only")]
    Unshared(String),
    /// It was there and went away.
    #[error("it went away")]
    Left,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ({})", self.name, self.address, self.why)
    }
}

/// Nodes joined by commas.
pub(super) struct List<'a>(pub(super) &'a [Missing]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, missing) in self.0.iter().enumerate() {
            let comma = if position > 0 { ", " } else { "" };
            write!(f, "{comma}{missing}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (waited, deadline) = (self.waited.as_secs(), self.deadline.as_secs());
        if self.missing.is_empty() {
            write!(f, "all nodes are here")?;
        } else {
            write!(f, "waiting for {}", List(&self.missing))?;
        }
        write!(f, ", {waited} s of {deadline} s")?;
        match &self.refused {
            Some(refused) => write!(f, "; refused {refused}"),
            None => Ok(()),
        }
    }
}
