//! The cluster as its file describes it, checked and complete.

use std::collections::BTreeMap;
use std::time::Duration;

use giantvm_core::{NodeId, PageSize};

use crate::attached::Attached;
use crate::{DeviceKind, Links, NodeAddress};

/// Most bytes of a cluster file: four times what 64 nodes with every key need.
pub const MAX_FILE: usize = 64 << 10;
/// Most bytes of guest memory: 64 TiB, the 46 bits of physical address that every x86-64
/// processor of the last decade has.
pub const MAX_MEMORY: u64 = 1 << 46;
/// Most characters of a name.
pub const MAX_NAME: usize = 32;
/// How long a node waits for the others where the file does not say.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// One node of a [`ClusterSpec`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its name, unique in the cluster.
    pub name: String,
    /// Where it listens, unique in the cluster.
    pub address: NodeAddress,
    /// How many vCPUs it runs; perhaps none.
    pub vcpus: u8,
    /// How many bytes of guest memory it is home to; perhaps none.
    pub memory: u64,
}

/// A cluster: checked, with every default filled in.
///
/// The nodes' vCPUs and memory sum up to the cluster's, every device has its node, and names and
/// addresses are unique. Where nodes do not say how many vCPUs they run or how much memory they are
/// home to, they share evenly what the others leave, the first ones getting what does not divide.
///
/// ```
/// use giantvm_sched::ClusterSpec;
///
/// let spec = ClusterSpec::local(3, 5, 64 << 20)?;
/// assert_eq!(spec.nodes().iter().map(|node| node.vcpus).collect::<Vec<_>>(), [2, 2, 1]);
/// # Ok::<(), giantvm_sched::ClusterError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSpec {
    pub(crate) name: String,
    pub(crate) page_size: PageSize,
    pub(crate) deadline: Duration,
    pub(crate) nodes: Vec<NodeSpec>,
    pub(crate) devices: BTreeMap<DeviceKind, NodeId>,
    pub(crate) attached: Attached,
    pub(crate) links: Links,
}

impl ClusterSpec {
    /// The cluster's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The size of a coherence unit.
    #[must_use]
    pub const fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// How long a node waits for the others when it starts.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Guest memory in bytes, a whole number of pages.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.nodes.iter().map(|node| node.memory).sum()
    }

    /// vCPUs of the machine.
    #[must_use]
    pub fn vcpus(&self) -> u8 {
        self.nodes.iter().map(|node| node.vcpus).sum()
    }

    /// The nodes; a node's [`NodeId`] is its position.
    #[must_use]
    pub fn nodes(&self) -> &[NodeSpec] {
        &self.nodes
    }

    /// The nodes' identifiers, in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + Clone + use<> {
        NodeId::first(self.nodes.len())
    }

    /// The node with this identifier.
    #[must_use]
    pub fn node(&self, node: NodeId) -> Option<&NodeSpec> {
        self.nodes.get(node.index())
    }

    /// The node with this name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        let position = self.nodes.iter().position(|node| node.name == name)?;
        NodeId::try_from(position).ok()
    }

    /// The node that hosts a device.
    #[must_use]
    pub fn device_node(&self, kind: DeviceKind) -> NodeId {
        self.devices.get(&kind).copied().unwrap_or(NodeId::ZERO)
    }

    /// The same cluster with the device on another node; unchanged if there is no such node.
    #[must_use]
    pub fn with_device(mut self, kind: DeviceKind, node: NodeId) -> Self {
        if node.index() < self.nodes.len() {
            self.devices.insert(kind, node);
        }
        self
    }

    /// The same cluster with the nodes listening elsewhere, in order: for whoever chooses the ports
    /// of a [local](Self::local) cluster. Surplus addresses are ignored.
    #[must_use]
    pub fn with_addresses(mut self, addresses: impl IntoIterator<Item = NodeAddress>) -> Self {
        for (node, address) in self.nodes.iter_mut().zip(addresses) {
            node.address = address;
        }
        self
    }
}
