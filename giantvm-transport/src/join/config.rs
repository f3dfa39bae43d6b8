//! What a node is told about the cluster it joins.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, MAX_NODES, NodeId, PageSize};

use crate::handshake::{LocalNode, MAX_NAME, Settings, SettingsError, is_name};

/// How long a node waits for the others unless told otherwise: one minute.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// One node in the table of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEntry {
    /// The node's name, unique in the cluster: 1 to 64 bytes.
    pub name: String,
    /// Where others reach it: `host:port`, `192.0.2.1:7000` or `[2001:db8::1]:7000`.
    pub address: String,
}

/// How a node talks to nodes of its own host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SameHost {
    /// Through memory that both map, if the other node does the same and is of the same user and
    /// network namespace. A hundred kilobytes to a megabyte a pair of nodes.
    #[default]
    Share,
    /// Over sockets only, as with all others.
    Sockets,
}

/// What a node needs to know to join its cluster.
///
/// ```
/// use giantvm_core::NodeId;
/// use giantvm_transport::{JoinConfig, NodeEntry};
///
/// let entry = |name: &str, address: &str| NodeEntry {
///     name: name.into(),
///     address: address.into(),
/// };
/// let nodes = vec![entry("a", "10.0.0.1:7000"), entry("b", "10.0.0.2:7000")];
/// let mut config = JoinConfig::new("lab", nodes, NodeId::new(1)?);
/// config.settings.insert("memory".into(), "512M".into());
/// config.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct JoinConfig {
    /// The cluster's id: nodes of another cluster are refused. 1 to 64 bytes.
    pub cluster: String,
    /// The epoch that the cluster starts in.
    pub epoch: Epoch,
    /// The most a frame may carry.
    pub limits: Limits,
    /// All nodes, by number.
    pub nodes: Vec<NodeEntry>,
    /// Which of them this one is.
    pub local: NodeId,
    /// Everything else that all nodes must agree on. The names of the nodes, the epoch and the
    /// limits are compared besides, as `cluster.*`.
    pub settings: BTreeMap<String, String>,
    /// Where to listen, if not at this node's address in the table (behind NAT, for instance).
    pub listen: Option<String>,
    /// How this node talks to those of its own host. Need not be the same on all nodes.
    pub same_host: SameHost,
    /// How long to wait for the others.
    pub deadline: Duration,
}

/// A [`JoinConfig`] that no cluster can be joined with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The table has no node of this number.
    #[error("this node is number {local}, but the table has {count} nodes, counted from 0")]
    NoSuchNode {
        /// The number.
        local: NodeId,
        /// Nodes in the table.
        count: usize,
    },
    /// The table is too long.
    #[error("{0} nodes are over the limit of {MAX_NODES}")]
    TooManyNodes(usize),
    /// A name or the cluster's id cannot be one.
    #[error("{0:?} is not a name: 1 to {MAX_NAME} bytes, no control characters")]
    BadName(String),
    /// Two nodes have one name.
    #[error("two nodes are named `{0}`: rename one")]
    TwiceNamed(String),
    /// The settings are too long to exchange.
    #[error("settings: {0}")]
    Settings(#[from] SettingsError),
}

impl JoinConfig {
    /// A configuration with the first epoch, limits for 4 KiB pages, no settings, and a deadline
    /// of one minute.
    #[must_use]
    pub fn new(cluster: &str, nodes: Vec<NodeEntry>, local: NodeId) -> Self {
        Self {
            cluster: cluster.to_owned(),
            epoch: Epoch::FIRST,
            limits: Limits::for_pages(PageSize::K4),
            nodes,
            local,
            settings: BTreeMap::new(),
            listen: None,
            same_host: SameHost::default(),
            deadline: DEADLINE,
        }
    }

    /// Checks what can be checked without the others.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub fn check(&self) -> Result<(), ConfigError> {
        let count = self.nodes.len();
        if count > MAX_NODES {
            return Err(ConfigError::TooManyNodes(count));
        }
        if self.local.index() >= count {
            let local = self.local;
            return Err(ConfigError::NoSuchNode { local, count });
        }
        let mut names = BTreeSet::new();
        for name in self
            .nodes
            .iter()
            .map(|node| &node.name)
            .chain([&self.cluster])
        {
            if !is_name(name) {
                return Err(ConfigError::BadName(name.clone()));
            }
        }
        for node in &self.nodes {
            if !names.insert(&node.name) {
                return Err(ConfigError::TwiceNamed(node.name.clone()));
            }
        }
        Ok(self.canonical().check_length()?)
    }

    /// All that the nodes must agree on.
    #[must_use]
    pub fn canonical(&self) -> Settings {
        let names: Vec<_> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        let own = [
            ("cluster.epoch", self.epoch.to_string()),
            ("cluster.max_payload", self.limits.max_payload.to_string()),
            ("cluster.nodes", names.join(",")),
        ];
        let given = self
            .settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()));
        Settings::from_iter(given.chain(own))
    }

    /// How this node introduces itself, as a process of its own.
    pub(crate) fn local_node(&self) -> LocalNode {
        LocalNode {
            cluster: self.cluster.clone(),
            node: self.local,
            names: self.nodes.iter().map(|node| node.name.clone()).collect(),
            // The keys of a new RandomState are random, and so is the hash of nothing.
            instance: RandomState::new().hash_one(std::process::id()),
            host: match self.same_host {
                SameHost::Share => crate::pipe::host::key(),
                SameHost::Sockets => 0,
            },
            epoch: self.epoch,
            limits: self.limits,
            settings: self.canonical(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(names: &[&str], local: u8) -> JoinConfig {
        let entry = |name: &&str| NodeEntry {
            name: (*name).to_owned(),
            address: "localhost:1".into(),
        };
        let nodes = names.iter().map(entry).collect();
        JoinConfig::new("lab", nodes, NodeId::new(local).unwrap())
    }

    #[test]
    fn each_mistake_in_the_table_has_its_error() {
        let check = |names: &[&str], local| config(names, local).check();
        assert_eq!(check(&["a", "b"], 1), Ok(()));
        assert!(matches!(
            check(&["a"], 1),
            Err(ConfigError::NoSuchNode { count: 1, .. })
        ));
        assert_eq!(
            check(&["a", "a"], 0),
            Err(ConfigError::TwiceNamed("a".into()))
        );
        assert_eq!(
            check(&["a", ""], 0),
            Err(ConfigError::BadName(String::new()))
        );
        assert_eq!(check(&["a"; 65], 0), Err(ConfigError::TooManyNodes(65)));
        let mut long = config(&["a"], 0);
        long.settings.insert("key".into(), "x".repeat(70_000));
        assert!(matches!(long.check(), Err(ConfigError::Settings(_))));
    }

    #[test]
    fn addresses_may_differ_between_nodes_but_names_may_not() {
        let (here, mut there) = (config(&["a", "b"], 0), config(&["a", "b"], 1));
        there.nodes[0].address = "gateway:9".into();
        assert_eq!(here.canonical().digest(), there.canonical().digest());
        there.nodes[0].name = "x".into();
        let difference = here.canonical().first_difference(&there.canonical(), "b");
        assert_eq!(difference.unwrap().key, "cluster.nodes");
    }
}
