//! Which vCPU runs on which node.

use std::sync::{Arc, PoisonError, RwLock};

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

    /// The layout in which the vCPU, if there is such a one, runs on `node` instead.
    #[must_use]
    pub fn with(&self, id: VcpuId, node: NodeId) -> Self {
        let mut changed = self.clone();
        if let Some(place) = changed.nodes.get_mut(id.index()) {
            *place = node;
        }
        changed
    }

    /// Refuses a vCPU that this node runs.
    pub(crate) fn require_remote(&self, id: VcpuId) -> Result<(), VcpuError> {
        match self.node_of(id) {
            None => Err(VcpuError::NoSuchVcpu(id)),
            Some(node) if node == self.node => Err(VcpuError::IsLocal(id)),
            Some(_) => Ok(()),
        }
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

/// A layout that changes when vCPUs move.
#[derive(Debug)]
pub(crate) struct Places(RwLock<Arc<Layout>>);

impl Places {
    pub(crate) fn new(layout: Layout) -> Self {
        Self(RwLock::new(Arc::new(layout)))
    }

    /// The layout at the moment.
    pub(crate) fn now(&self) -> Arc<Layout> {
        // A layout is replaced at once: a panic leaves the old one.
        let layout = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&layout)
    }

    /// Notes that a vCPU is on `node` from now on.
    pub(crate) fn set(&self, id: VcpuId, node: NodeId) {
        let mut layout = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *layout = Arc::new(layout.with(id, node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vcpu_that_moves_is_local_on_its_new_node_only() {
        let (zero, one) = (NodeId::ZERO, NodeId::new(1).unwrap());
        let places = Places::new(Layout::new(zero, vec![zero, one]).unwrap());
        let before = places.now();
        places.set(VcpuId::BOOT, one);
        assert!(before.is_local(VcpuId::BOOT) && !places.now().is_local(VcpuId::BOOT));
        assert_eq!(places.now().node_of(VcpuId::BOOT), Some(one));
        assert_eq!(
            before.with(VcpuId::new(9).unwrap(), one),
            *before,
            "no such vCPU"
        );
    }

    #[test]
    fn a_machine_has_at_least_one_and_not_too_many_vcpus() {
        assert!(Layout::new(NodeId::ZERO, vec![]).is_err());
        assert!(Layout::new(NodeId::ZERO, vec![NodeId::ZERO; MAX_VCPUS]).is_ok());
        assert!(Layout::new(NodeId::ZERO, vec![NodeId::ZERO; MAX_VCPUS + 1]).is_err());
    }
}
