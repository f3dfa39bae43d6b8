//! Which node runs, homes and hosts what.

use std::collections::BTreeMap;

use giantvm_core::{NodeId, PageIndex, PageRange, PageSize, VcpuId};

use crate::{ClusterSpec, DeviceKind, Topology};

/// Where everything is: the same on every node that plans the same [`ClusterSpec`].
///
/// vCPUs and pages are contiguous by node, in the nodes' order: neighbours share memory most.
///
/// ```
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_sched::{ClusterSpec, Placement};
///
/// let placement = Placement::plan(&ClusterSpec::local(2, 3, 10 * 4096)?);
/// let second = NodeId::new(1)?;
/// assert_eq!(placement.node_of_vcpu(VcpuId::new(2)?), Some(second));
/// assert_eq!(placement.vcpus_of(second).collect::<Vec<_>>(), [VcpuId::new(2)?]);
/// assert_eq!(placement.page_runs().map(|(run, _)| run.len()).collect::<Vec<_>>(), [5, 5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    page_size: PageSize,
    nodes: usize,
    /// The node of each vCPU.
    vcpus: Vec<NodeId>,
    /// Runs of pages in ascending order, none of them empty.
    homes: Vec<(PageRange, NodeId)>,
    devices: BTreeMap<DeviceKind, NodeId>,
}

impl Placement {
    /// Places everything in `spec`. Cannot fail: a spec is checked when it is made.
    #[must_use]
    pub fn plan(spec: &ClusterSpec) -> Self {
        let (mut vcpus, mut homes, mut start) = (Vec::new(), Vec::new(), 0);
        for (node, id) in spec.nodes().iter().zip(spec.ids()) {
            vcpus.extend(std::iter::repeat_n(id, node.vcpus.into()));
            let end = start + spec.page_size().pages_for(node.memory);
            if end > start {
                let run = PageRange {
                    start: PageIndex(start),
                    end: PageIndex(end),
                };
                homes.push((run, id));
            }
            start = end;
        }
        let devices = DeviceKind::ALL.map(|kind| (kind, spec.device_node(kind)));
        Self {
            page_size: spec.page_size(),
            nodes: spec.nodes().len(),
            vcpus,
            homes,
            devices: devices.into(),
        }
    }

    /// The nodes of the cluster, in order.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = NodeId> + Clone + use<> {
        NodeId::first(self.nodes)
    }

    /// How many vCPUs the machine has.
    #[must_use]
    pub fn vcpu_count(&self) -> usize {
        self.vcpus.len()
    }

    /// The node that runs a vCPU; `None` if the machine has no such vCPU.
    #[must_use]
    pub fn node_of_vcpu(&self, vcpu: VcpuId) -> Option<NodeId> {
        self.vcpus.get(vcpu.index()).copied()
    }

    /// The vCPUs that a node runs, in order; none for a node without.
    pub fn vcpus_of(&self, node: NodeId) -> impl Iterator<Item = VcpuId> + '_ {
        let homes = VcpuId::first(self.vcpus.len()).zip(&self.vcpus);
        homes
            .filter(move |&(_, &home)| home == node)
            .map(|(vcpu, _)| vcpu)
    }

    /// The size of a page of [`page_runs`](Self::page_runs).
    #[must_use]
    pub const fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// How many pages guest memory has.
    #[must_use]
    pub fn page_count(&self) -> u64 {
        self.homes.last().map_or(0, |(run, _)| run.end.0)
    }

    /// Which node is home to which pages: runs in ascending order, without gap or overlap, that
    /// cover guest memory from page 0. Nodes that are home to none do not appear.
    pub fn page_runs(&self) -> impl Iterator<Item = (PageRange, NodeId)> + '_ {
        self.homes.iter().copied()
    }

    /// The node that hosts a device.
    #[must_use]
    pub fn device_node(&self, kind: DeviceKind) -> NodeId {
        self.devices.get(&kind).copied().unwrap_or(NodeId::ZERO)
    }

    /// The NUMA topology to show to the guest.
    #[must_use]
    pub fn topology(&self) -> Topology {
        Topology::of(self)
    }
}
