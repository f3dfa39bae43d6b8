//! What the links between nodes are like.

use std::collections::BTreeMap;
use std::time::Duration;

use giantvm_core::NodeId;

use crate::document::{Section, excerpt};
use crate::parse::required_node;
use crate::{ClusterError, ClusterSpec, NodeSpec, Problem};

/// The longest round trip that a cluster file can give, in microseconds: more than any on earth.
pub(crate) const MAX_ROUND_TRIP: u64 = 10_000_000;

const LINK_KEYS: &[&str] = &["from", "to", "round-trip-us", "bandwidth"];

/// What is known of the link between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// How long a short message and its answer take.
    pub round_trip: Option<Duration>,
    /// Bytes a second, one way.
    pub bandwidth: Option<u64>,
}

/// The links between the nodes of a cluster, each the same both ways.
///
/// ```
/// use std::time::Duration;
/// use giantvm_core::NodeId;
/// use giantvm_sched::Links;
///
/// let (a, b) = (NodeId::new(0)?, NodeId::new(1)?);
/// let mut links = Links::default();
/// links.measured(a, b, Duration::from_micros(50));
/// links.measured(b, a, Duration::from_micros(40));
/// assert_eq!(links.between(a, b).round_trip, Some(Duration::from_micros(40)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Links(BTreeMap<(NodeId, NodeId), Link>);

impl Links {
    pub(crate) fn read(
        sections: Vec<Section<'_>>,
        nodes: &[NodeSpec],
    ) -> Result<Self, ClusterError> {
        let mut links = Self::default();
        for section in sections {
            section.only(LINK_KEYS)?;
            let from = required_node(&section, "from", nodes)?;
            let to = required_node(&section, "to", nodes)?;
            let name = |node: NodeId| nodes.get(node.index()).map_or("", |node| &node.name);
            if from == to {
                return Err(section.fail("to", Problem::OwnLink(excerpt(name(to)))));
            }
            let round_trip = section.count("round-trip-us")?;
            let round_trip = round_trip.map(|field| field.check(|&us| checked_round_trip(us)));
            let bandwidth = section.size("bandwidth")?;
            let bandwidth = bandwidth.map(|field| field.check(|&bytes| checked_bandwidth(bytes)));
            let link = Link {
                round_trip: round_trip.transpose()?.map(|field| field.value),
                bandwidth: bandwidth.transpose()?.map(|field| field.value),
            };
            if link == Link::default() {
                let missing = "what the link is like, as in round-trip-us = 30";
                return Err(section.fail("round-trip-us", Problem::Missing(missing)));
            }
            if links.0.insert(key(from, to), link).is_some() {
                let text = format!("{} - {}", name(from), name(to));
                return Err(section.fail("to", Problem::InUse(text)));
            }
        }
        Ok(links)
    }

    /// What is known of the link between two nodes.
    #[must_use]
    pub fn between(&self, one: NodeId, other: NodeId) -> Link {
        self.0.get(&key(one, other)).copied().unwrap_or_default()
    }

    /// Learns of a round trip that one of the two has measured. The shortest counts: whatever else a
    /// message meets on its way makes it longer.
    pub fn measured(&mut self, one: NodeId, other: NodeId, round_trip: Duration) {
        let link = self.0.entry(key(one, other)).or_default();
        let shortest = link
            .round_trip
            .map_or(round_trip, |had| had.min(round_trip));
        link.round_trip = Some(shortest);
    }

    /// These links, and where they say nothing, what `other` says.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        for (key, theirs) in &other.0 {
            let link = self.0.entry(*key).or_default();
            link.round_trip = link.round_trip.or(theirs.round_trip);
            link.bandwidth = link.bandwidth.or(theirs.bandwidth);
        }
        self
    }

    /// All links of which anything is known, by their two nodes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ((NodeId, NodeId), Link)> {
        self.0.iter().map(|(key, link)| (*key, *link))
    }
}

impl ClusterSpec {
    /// What the cluster file says of links. Where it says nothing, links can be measured.
    #[must_use]
    pub const fn links(&self) -> &Links {
        &self.links
    }
}

fn key(one: NodeId, other: NodeId) -> (NodeId, NodeId) {
    (one.min(other), one.max(other))
}

fn checked_round_trip(micros: u64) -> Result<Duration, Problem> {
    match micros {
        1..=MAX_ROUND_TRIP => Ok(Duration::from_micros(micros)),
        _ => Err(Problem::RoundTrip(micros)),
    }
}

fn checked_bandwidth(bytes: u64) -> Result<u64, Problem> {
    match bytes {
        0 => Err(Problem::Bandwidth),
        bytes => Ok(bytes),
    }
}
