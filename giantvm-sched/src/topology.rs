//! The NUMA topology that the guest is shown.

use std::time::Duration;

use giantvm_core::{GuestAddress, NodeId, VcpuId};

use crate::Placement;

/// The distance from a node to its own memory, as ACPI defines it.
pub const LOCAL_DISTANCE: u8 = 10;
/// The distance between two nodes of which nothing is known, and of the nearest two where
/// latencies are: ACPI's usual figure for one hop.
pub const REMOTE_DISTANCE: u8 = 20;
/// The largest distance; ACPI reads 255 as unreachable.
const MAX_DISTANCE: u8 = 254;

/// A distance that a topology cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DistanceError {
    /// Not a number of [`Topology::nodes`].
    #[error("node {0} is not in the topology: use the placement's nodes")]
    Node(NodeId),
    /// The distance of a node to itself.
    #[error(
        "a node's distance to itself is always {LOCAL_DISTANCE}: set distances between two nodes"
    )]
    Own,
    /// Not from 11 to 254.
    #[error("distance {0} between two nodes cannot be: use 11 to {MAX_DISTANCE}")]
    Range(u8),
}

/// What one node of the cluster is to the guest: a proximity domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumaNode {
    /// The node. Its number is the proximity domain's.
    pub id: NodeId,
    /// The domain's vCPUs; perhaps none. A vCPU's APIC ID is its number.
    pub vcpus: Vec<VcpuId>,
    /// The domain's memory as `(start, bytes)`; perhaps none.
    pub memory: Vec<(GuestAddress, u64)>,
}

/// The guest's NUMA topology: one domain a node, and how far they are from one another.
///
/// ```
/// use std::time::Duration;
/// use giantvm_core::NodeId;
/// use giantvm_sched::{ClusterSpec, Placement};
///
/// let mut topology = Placement::plan(&ClusterSpec::local(3, 3, 64 << 20)?).topology();
/// assert_eq!(topology.distances()[0], [10, 20, 20]);
///
/// let (a, c) = (NodeId::new(0)?, NodeId::new(2)?);
/// topology.set_latencies(|from, to| {
///     Some(Duration::from_micros(if (from, to) == (a, c) { 30 } else { 20 }))
/// });
/// assert_eq!(topology.distances()[0], [10, 20, 30]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    nodes: Vec<NumaNode>,
    distances: Vec<Vec<u8>>,
}

impl Topology {
    pub(crate) fn of(placement: &Placement) -> Self {
        let page_size = placement.page_size();
        let bytes_of = |node| {
            let runs = placement.page_runs().filter(move |&(_, home)| home == node);
            // Guest memory is at most 64 TiB, so every page has an address.
            runs.filter_map(move |(run, _)| {
                let start = page_size.address_of(run.start)?;
                Some((start, page_size.offset_of(run.end)? - start.0))
            })
        };
        let nodes: Vec<_> = placement
            .nodes()
            .map(|id| NumaNode {
                id,
                vcpus: placement.vcpus_of(id).collect(),
                memory: bytes_of(id).collect(),
            })
            .collect();
        let mut distances = vec![vec![REMOTE_DISTANCE; nodes.len()]; nodes.len()];
        for (position, row) in distances.iter_mut().enumerate() {
            row[position] = LOCAL_DISTANCE;
        }
        Self { nodes, distances }
    }

    /// The domains, in the order of their numbers.
    #[must_use]
    pub fn nodes(&self) -> &[NumaNode] {
        &self.nodes
    }

    /// The distances, a square: row `from`, column `to`, as in ACPI's SLIT.
    #[must_use]
    pub fn distances(&self) -> &[Vec<u8>] {
        &self.distances
    }

    /// Sets the distance from one node to another, one way.
    ///
    /// # Errors
    /// [`DistanceError`] if there is no such distance, or it is not from 11 to 254.
    pub fn set_distance(
        &mut self,
        from: NodeId,
        to: NodeId,
        distance: u8,
    ) -> Result<(), DistanceError> {
        if from == to {
            return Err(DistanceError::Own);
        }
        if !(LOCAL_DISTANCE + 1..=MAX_DISTANCE).contains(&distance) {
            return Err(DistanceError::Range(distance));
        }
        let row = self.distances.get_mut(from.index());
        let row = row.ok_or(DistanceError::Node(from))?;
        *row.get_mut(to.index()).ok_or(DistanceError::Node(to))? = distance;
        Ok(())
    }

    /// Sets all distances from measured latencies: the nearest two nodes are [`REMOTE_DISTANCE`]
    /// apart and the others in proportion, up to 254. Without a measurement a distance stays.
    ///
    /// Only the links are compared with one another. Remote memory is hundreds of times slower
    /// than a node's own, which no SLIT can say.
    pub fn set_latencies(&mut self, latency: impl Fn(NodeId, NodeId) -> Option<Duration>) {
        let ids: Vec<_> = self.nodes.iter().map(|node| node.id).collect();
        let pairs = ids
            .iter()
            .flat_map(|&from| ids.iter().map(move |&to| (from, to)));
        let measured: Vec<_> = pairs
            .filter(|(from, to)| from != to)
            .filter_map(|(from, to)| Some((from, to, latency(from, to)?.as_nanos().max(1))))
            .collect();
        let Some(nearest) = measured.iter().map(|&(.., nanos)| nanos).min() else {
            return;
        };
        for (from, to, nanos) in measured {
            let scaled = nanos.saturating_mul(REMOTE_DISTANCE.into()) / nearest;
            let distance = u8::try_from(scaled)
                .unwrap_or(MAX_DISTANCE)
                .min(MAX_DISTANCE);
            self.distances[from.index()][to.index()] = distance;
        }
    }
}
