//! Which vCPU runs on which node.

use giantvm_core::{MAX_VCPUS, NodeId, VcpuId};

use crate::error::VcpuError;

/// The vCPUs of a machine, each with its node, as one node sees them.
///
/// ```
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_vcpu::Layout;
///
/// let (zero, one) = (NodeId::ZERO, NodeId::new(1)?);
/// let layout = Layout::new(one, vec![zero, one, one])?;
/// assert_eq!(layout.local().map(VcpuId::get).collect::<Vec<_>>(), [1, 2]);
/// assert_eq!(layout.node_of(VcpuId::BOOT), Some(zero));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    node: NodeId,
    nodes: Vec<NodeId>,
}

impl Layout {
    /// The layout that runs vCPU number `i` on `nodes[i]`, as `node` sees it.
    ///
    /// # Errors
    /// [`VcpuError::VcpuCount`] unless there are from 1 to [`MAX_VCPUS`] vCPUs.
    pub fn new(node: NodeId, nodes: Vec<NodeId>) -> Result<Self, VcpuError> {
        if nodes.is_empty() || nodes.len() > MAX_VCPUS {
            let (got, limit) = (nodes.len(), MAX_VCPUS);
            return Err(VcpuError::VcpuCount { got, limit });
        }
        Ok(Self { node, nodes })
    }

    /// The node whose view this is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// How many vCPUs the machine has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// All vCPUs of the machine, in order.
    pub fn all(&self) -> impl Iterator<Item = VcpuId> + use<> {
        VcpuId::first(self.nodes.len())
    }

    /// The vCPUs that run on this node, in order.
    pub fn local(&self) -> impl Iterator<Item = VcpuId> + '_ {
        self.all().filter(|&id| self.is_local(id))
    }

    /// The node that runs the vCPU; `None` if there is no such vCPU.
    #[must_use]
    pub fn node_of(&self, id: VcpuId) -> Option<NodeId> {
        self.nodes.get(id.index()).copied()
    }

    /// Whether the vCPU runs on this node.
    #[must_use]
    pub fn is_local(&self, id: VcpuId) -> bool {
        self.node_of(id) == Some(self.node)
    }

    /// Refuses a vCPU that this node does not run.
    pub(crate) fn require_local(&self, id: VcpuId) -> Result<(), VcpuError> {
        match self.node_of(id) {
            None => Err(VcpuError::NoSuchVcpu(id)),
            Some(node) if node != self.node => Err(VcpuError::NotLocal(id)),
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_at_least_one_and_not_too_many_vcpus() {
        assert!(Layout::new(NodeId::ZERO, vec![]).is_err());
        assert!(Layout::new(NodeId::ZERO, vec![NodeId::ZERO; MAX_VCPUS]).is_ok());
        assert!(Layout::new(NodeId::ZERO, vec![NodeId::ZERO; MAX_VCPUS + 1]).is_err());
    }
}
