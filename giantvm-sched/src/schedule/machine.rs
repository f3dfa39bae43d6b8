//! What threads run on: vCPUs, the nodes that they are on, and the links between those.

use giantvm_core::{MAX_NODES, MAX_VCPUS, NodeId, VcpuId};

use super::Nanos;
use crate::Placement;

/// What a link costs that no one has measured: 20 us for one remote fault, between the floors of
/// rings in shared memory and TCP in `giantvm-dsm/docs/cost.md`.
pub const DEFAULT_LINK: Nanos = Nanos(20_000);
/// The most that a link may cost. Slower ones are taken to be as slow as this.
pub const MAX_LINK: Nanos = Nanos(1_000_000_000);

/// A machine that threads cannot run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// No node has a vCPU.
    #[error("the machine has no vCPU: give at least one node one")]
    NoVcpu,
    /// More nodes than a cluster can have.
    #[error("{0} nodes: a cluster has at most {MAX_NODES}")]
    Nodes(usize),
    /// More vCPUs than a machine can have.
    #[error("{0} vCPUs: a machine has at most {MAX_VCPUS}")]
    Vcpus(usize),
}

/// Nodes, their vCPUs and what a remote fault between two of them takes.
///
/// ```
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_sched::schedule::{Machine, Nanos};
///
/// let mut machine = Machine::new(&[2, 1])?;
/// let (a, b) = (NodeId::new(0)?, NodeId::new(1)?);
/// assert_eq!(machine.node_of(VcpuId::new(2)?), Some(b));
/// machine.set_link(a, b, Nanos(30_000));
/// assert_eq!(machine.link(b, a), Nanos(30_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    nodes: usize,
    /// The node of each vCPU.
    vcpus: Vec<NodeId>,
    /// A square, symmetric.
    links: Vec<Vec<Nanos>>,
}

impl Machine {
    /// A machine with so many vCPUs a node, numbered node by node, and links of
    /// [`DEFAULT_LINK`].
    ///
    /// # Errors
    /// [`MachineError`] if there are too many nodes or vCPUs, or no vCPU at all.
    pub fn new(vcpus: &[usize]) -> Result<Self, MachineError> {
        if vcpus.len() > MAX_NODES {
            return Err(MachineError::Nodes(vcpus.len()));
        }
        let sum = vcpus.iter().fold(0, |sum: usize, &n| sum.saturating_add(n));
        if sum > MAX_VCPUS {
            return Err(MachineError::Vcpus(sum));
        }
        let of_node = NodeId::first(vcpus.len()).zip(vcpus);
        let vcpus_of = of_node.flat_map(|(node, &count)| std::iter::repeat_n(node, count));
        Self::on(vcpus.len(), vcpus_of.collect())
    }

    /// The machine that a placement makes.
    ///
    /// # Errors
    /// [`MachineError::NoVcpu`] if no node has a vCPU.
    pub fn of(placement: &Placement) -> Result<Self, MachineError> {
        let vcpus = VcpuId::first(placement.vcpu_count());
        let nodes = vcpus.filter_map(|vcpu| placement.node_of_vcpu(vcpu));
        Self::on(placement.nodes().count(), nodes.collect())
    }

    /// A machine of so many nodes, with the node of each vCPU.
    pub(crate) fn on(nodes: usize, vcpus: Vec<NodeId>) -> Result<Self, MachineError> {
        if vcpus.is_empty() {
            return Err(MachineError::NoVcpu);
        }
        let mut links = vec![vec![DEFAULT_LINK; nodes]; nodes];
        for (node, row) in links.iter_mut().enumerate() {
            row[node] = Nanos(0);
        }
        Ok(Self {
            nodes,
            vcpus,
            links,
        })
    }

    /// The nodes, in order.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = NodeId> + Clone + use<> {
        NodeId::first(self.nodes)
    }

    /// How many nodes there are.
    #[must_use]
    pub const fn node_count(&self) -> usize {
        self.nodes
    }

    /// Whether the machine has this node.
    #[must_use]
    pub const fn has_node(&self, node: NodeId) -> bool {
        node.index() < self.nodes
    }

    /// How many vCPUs there are.
    #[must_use]
    pub fn vcpu_count(&self) -> usize {
        self.vcpus.len()
    }

    /// The vCPUs, in order.
    pub fn vcpus(&self) -> impl DoubleEndedIterator<Item = VcpuId> + Clone + use<> {
        VcpuId::first(self.vcpus.len())
    }

    /// The vCPUs of one node, in order.
    pub fn vcpus_of(&self, node: NodeId) -> impl Iterator<Item = VcpuId> + '_ {
        let all = self.vcpus().zip(&self.vcpus);
        all.filter(move |&(_, &of)| of == node)
            .map(|(vcpu, _)| vcpu)
    }

    /// The node of a vCPU; `None` if there is no such vCPU.
    #[must_use]
    pub fn node_of(&self, vcpu: VcpuId) -> Option<NodeId> {
        self.vcpus.get(vcpu.index()).copied()
    }

    /// What a remote fault between two nodes takes; nothing from a node to itself, and
    /// [`DEFAULT_LINK`] where the machine has no such node.
    #[must_use]
    pub fn link(&self, a: NodeId, b: NodeId) -> Nanos {
        let row = self.links.get(a.index());
        let cost = row.and_then(|row| row.get(b.index())).copied();
        cost.unwrap_or(DEFAULT_LINK)
    }

    /// Sets what a remote fault between two nodes takes, both ways: at least 1 ns and at most
    /// [`MAX_LINK`]. Changes nothing for a node and itself, or one that is not there.
    pub fn set_link(&mut self, a: NodeId, b: NodeId, cost: Nanos) {
        if a == b || !self.has_node(a) || !self.has_node(b) {
            return;
        }
        let cost = cost.clamp(Nanos(1), MAX_LINK);
        self.links[a.index()][b.index()] = cost;
        self.links[b.index()][a.index()] = cost;
    }

    /// The mean of all links between two nodes; [`DEFAULT_LINK`] if there are none.
    #[must_use]
    pub fn mean_link(&self) -> Nanos {
        let pairs = (self.nodes * self.nodes.saturating_sub(1)) as u64;
        let sum: u64 = self.links.iter().flatten().map(|cost| cost.0).sum();
        sum.checked_div(pairs).map_or(DEFAULT_LINK, Nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClusterSpec;

    #[test]
    fn a_machine_has_a_vcpu_and_no_more_than_fit() {
        assert_eq!(Machine::new(&[]), Err(MachineError::NoVcpu));
        assert_eq!(Machine::new(&[0, 0]), Err(MachineError::NoVcpu));
        assert_eq!(Machine::new(&[1; 65]), Err(MachineError::Nodes(65)));
        assert_eq!(Machine::new(&[255]), Err(MachineError::Vcpus(255)));
        let vast = Machine::new(&[usize::MAX, 2]);
        assert_eq!(vast, Err(MachineError::Vcpus(usize::MAX)));
    }

    #[test]
    fn a_placement_and_its_machine_agree() {
        let placement = Placement::plan(&ClusterSpec::local(2, 3, 64 << 20).unwrap());
        assert_eq!(Machine::of(&placement), Machine::new(&[2, 1]));
    }

    #[test]
    fn links_are_the_same_both_ways_and_bounded() {
        let mut machine = Machine::new(&[1, 1, 1]).unwrap();
        let [a, b, c] = [0, 1, 2].map(|node| NodeId::new(node).unwrap());
        machine.set_link(a, b, Nanos(0));
        machine.set_link(c, b, Nanos(u64::MAX));
        machine.set_link(a, a, Nanos(5));
        assert_eq!(machine.link(b, a), Nanos(1));
        assert_eq!(machine.link(b, c), MAX_LINK);
        assert_eq!(machine.link(a, a), Nanos(0));
        assert_eq!(machine.mean_link(), Nanos((1 + 1_000_000_000 + 20_000) / 3));
    }
}
