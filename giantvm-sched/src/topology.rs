//! The NUMA topology that the guest is shown.

use std::time::Duration;

use giantvm_core::{GuestAddress, NodeId, VcpuId};

use crate::{Links, Placement};

/// The distance from a node to its own memory, as ACPI defines it.
pub const LOCAL_DISTANCE: u8 = 10;
/// The distance between two nodes of which nothing is known, and of the nearest two where round trips
/// are: ACPI's usual figure for one hop.
pub const REMOTE_DISTANCE: u8 = 20;
/// The largest distance; ACPI reads 255 as unreachable.
const MAX_DISTANCE: u8 = 254;
/// What a round trip of twice the length adds, and the largest distance that comes of one.
const STEP: u8 = 10;
const MAX_SCALED: u8 = 250;
/// How long a vCPU waits for its own node's memory, in nanoseconds, and how much of it it gets, in MiB a
/// second: round figures of a server with one socket, to compare the links with.
const LOCAL_LATENCY: u32 = 100;
const LOCAL_BANDWIDTH: u32 = 16 << 10;

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
/// use giantvm_sched::{ClusterSpec, Links, Placement};
///
/// let mut topology = Placement::plan(&ClusterSpec::local(3, 3, 64 << 20)?).topology();
/// assert_eq!(topology.distances()[0], [10, 20, 20]);
///
/// let [a, b, c] = [0, 1, 2].map(|node| NodeId::new(node).unwrap());
/// let mut links = Links::default();
/// for (from, to, micros) in [(a, b, 20), (b, c, 22), (a, c, 80)] {
///     links.measured(from, to, Duration::from_micros(micros));
/// }
/// topology.set_links(&links);
/// assert_eq!(topology.distances()[0], [10, 20, 40]);
/// assert_eq!(topology.latencies()[0], [100, 20_000, 80_000]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    nodes: Vec<NumaNode>,
    distances: Vec<Vec<u8>>,
    latencies: Vec<Vec<u32>>,
    bandwidths: Vec<Vec<u32>>,
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
        Self {
            nodes,
            distances,
            latencies: Vec::new(),
            bandwidths: Vec::new(),
        }
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

    /// Tells the guest what links are like: distances, and what its vCPUs see of others' memory.
    ///
    /// *Distances.* The nearest two nodes are [`REMOTE_DISTANCE`] apart, and two nodes whose round trip
    /// is 2^k times that of the nearest, with k rounded to a whole number, are 10 k farther, up to
    /// 250. So distances grow with round trips, those of a cluster of like links are all the same
    /// whatever the measurement's noise, and a guest that makes a level of each distance that it sees
    /// (Linux does) has few. Where no round trip is known, a distance stays. Only the links are compared
    /// with one another: remote memory is hundreds of times slower than a node's own, which no SLIT can
    /// say.
    ///
    /// *[`latencies`](Self::latencies)* are round trips, which a load of a remote page takes at the least.
    pub fn set_links(&mut self, links: &Links) {
        let ids: Vec<_> = self.nodes.iter().map(|node| node.id).collect();
        let round_trips = |&from: &NodeId| {
            let to = ids
                .iter()
                .map(move |&to| links.between(from, to).round_trip);
            to.map(|trip| Some(nanos(trip?))).collect::<Vec<_>>()
        };
        let trips: Vec<_> = ids.iter().map(round_trips).collect();
        let nearest = trips.iter().flatten().flatten().min().copied();
        for (row, trips) in self.distances.iter_mut().zip(&trips) {
            for (distance, &trip) in row.iter_mut().zip(trips) {
                if let (Some(trip), Some(nearest)) = (trip, nearest) {
                    *distance = scaled(trip, nearest);
                }
            }
        }
        self.latencies = matrix(&ids, LOCAL_LATENCY, |from, to| {
            let nanos = nanos(links.between(from, to).round_trip?);
            Some(u32::try_from(nanos).unwrap_or(u32::MAX))
        });
        self.bandwidths = matrix(&ids, LOCAL_BANDWIDTH, |from, to| {
            let mib = (links.between(from, to).bandwidth? >> 20).max(1);
            Some(u32::try_from(mib).unwrap_or(u32::MAX))
        });
    }

    /// How long vCPUs of one node wait for memory of another, in nanoseconds, row `from`, column `to`,
    /// as in ACPI's HMAT. No rows where there is a link of which that is not known.
    #[must_use]
    pub fn latencies(&self) -> &[Vec<u32>] {
        &self.latencies
    }

    /// How much vCPUs of one node get of another's memory, in MiB a second. No rows where there is a
    /// link of which that is not known.
    #[must_use]
    pub fn bandwidths(&self) -> &[Vec<u32>] {
        &self.bandwidths
    }
}

/// A square with `own` on its diagonal, if all else is known, and there is anything else.
fn matrix(ids: &[NodeId], own: u32, of: impl Fn(NodeId, NodeId) -> Option<u32>) -> Vec<Vec<u32>> {
    let value = |from, to| match from == to {
        true => Some(own),
        false => of(from, to),
    };
    let row = |&from: &NodeId| ids.iter().map(|&to| value(from, to)).collect();
    let rows = ids.iter().map(row).collect::<Option<Vec<_>>>();
    rows.filter(|rows| rows.len() > 1).unwrap_or_default()
}

/// At least one, and no more than is left exact below.
fn nanos(time: Duration) -> u64 {
    let longest = Duration::from_secs(1 << 20);
    u64::try_from(time.min(longest).as_nanos())
        .unwrap_or(u64::MAX)
        .max(1)
}

/// The distance of two nodes, `trip` from one another where the nearest are `nearest`.
fn scaled(trip: u64, nearest: u64) -> u8 {
    let (trip, nearest) = (u128::from(trip).pow(2), u128::from(nearest).pow(2));
    let mut distance = REMOTE_DISTANCE;
    // The boundary after k doublings is at 2^(k + 1/2), whose square is 2^(2k + 1).
    let mut boundary = nearest.saturating_mul(2);
    while distance < MAX_SCALED && trip >= boundary {
        distance += STEP;
        boundary = boundary.saturating_mul(4);
    }
    distance
}
