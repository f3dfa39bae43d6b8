//! What may disturb a simulated cluster.

use std::fmt;

use giantvm_core::{NodeId, NodeSet, PageIndex};
use rand::Rng;
use rand::rngs::SmallRng;

use super::config::Config;
use crate::protocol::Tick;

/// Something that disturbs the cluster at a time of the virtual clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chaos {
    /// A node has no room for a page.
    Evict {
        /// The node.
        node: NodeId,
        /// The page.
        page: PageIndex,
    },
    /// A device of a node works on a page, if the node may write it then.
    Pin {
        /// The node.
        node: NodeId,
        /// The page.
        page: PageIndex,
        /// How long.
        time: Tick,
    },
    /// One node tells another something beside the shared memory: an interrupt, say.
    Signal {
        /// The sender.
        from: NodeId,
        /// The receiver.
        to: NodeId,
    },
    /// Nothing passes between some nodes and the others; it arrives when the cut has healed.
    Partition {
        /// The nodes on one side.
        side: NodeSet,
        /// How long.
        time: Tick,
    },
    /// A link is made anew: what was sent last comes once more, as the sender cannot know what
    /// arrived.
    Reconnect {
        /// One end.
        from: NodeId,
        /// The other.
        to: NodeId,
    },
    /// A node leaves, if nothing is against it.
    Leave {
        /// The node.
        node: NodeId,
        /// Who takes its part over.
        heir: NodeId,
        /// What becomes of it.
        then: Afterwards,
    },
    /// A node stops for good. The others learn of it some time later.
    Kill {
        /// The node.
        node: NodeId,
    },
}

/// What becomes of a node that has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// It stops for good, which no one minds. Its threads go on at its heir.
    Stop,
    /// It comes back.
    Return,
}

/// Which kinds of disturbance a scenario has, and how many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disturbances {
    /// Evictions.
    pub evictions: usize,
    /// Pinned pages.
    pub pins: usize,
    /// Signals beside the memory.
    pub signals: usize,
    /// Partitions that heal.
    pub partitions: usize,
    /// Links made anew.
    pub reconnects: usize,
    /// Nodes that stop.
    pub kills: usize,
    /// Nodes that leave, if their protocol can do that.
    pub departures: usize,
}

impl Disturbances {
    /// A lively time: everything but nodes that stop, after which no one goes on.
    pub const LIVELY: Self = Self {
        evictions: 40,
        pins: 10,
        signals: 20,
        partitions: 4,
        reconnects: 10,
        kills: 0,
        departures: 0,
    };

    /// The same, and nodes leave; some of them come back.
    pub const LEAVING: Self = Self {
        departures: 4,
        ..Self::LIVELY
    };

    /// The same, and one node stops.
    pub const DEADLY: Self = Self {
        kills: 1,
        ..Self::LIVELY
    };

    /// So many disturbances at random times before `until`.
    pub(super) fn random(
        self,
        rng: &mut SmallRng,
        config: &Config,
        until: Tick,
    ) -> Vec<(Tick, Chaos)> {
        let mut all = Vec::new();
        let mut add = |rng: &mut SmallRng, count, make: &dyn Fn(&mut SmallRng) -> Chaos| {
            for _ in 0..count {
                let at = Tick(rng.random_range(0..=until.0));
                all.push((at, make(rng)));
            }
        };
        let nodes = config.nodes;
        let node = move |rng: &mut SmallRng| some_node(rng, nodes);
        let page = |rng: &mut SmallRng| PageIndex(rng.random_range(0..config.pages));
        let time =
            |rng: &mut SmallRng, most: u64| Tick(rng.random_range(0..=config.delay.0 * most));
        add(rng, self.evictions, &|rng| Chaos::Evict {
            node: node(rng),
            page: page(rng),
        });
        add(rng, self.pins, &|rng| Chaos::Pin {
            node: node(rng),
            page: page(rng),
            time: time(rng, 50),
        });
        add(rng, self.kills, &|rng| Chaos::Kill { node: node(rng) });
        if nodes < 2 {
            return all;
        }
        let other = move |rng: &mut SmallRng, than: NodeId| {
            let step = rng.random_range(1..nodes);
            NodeId::try_from((than.index() + step) % nodes).unwrap_or(NodeId::ZERO)
        };
        add(rng, self.signals, &|rng| {
            let from = node(rng);
            let to = other(rng, from);
            Chaos::Signal { from, to }
        });
        add(rng, self.partitions, &|rng| Chaos::Partition {
            side: NodeId::first(nodes).filter(|_| rng.random()).collect(),
            time: time(rng, 100),
        });
        add(rng, self.reconnects, &|rng| {
            let from = node(rng);
            let to = other(rng, from);
            Chaos::Reconnect { from, to }
        });
        add(rng, self.departures, &|rng| {
            let leaver = node(rng);
            Chaos::Leave {
                node: leaver,
                heir: other(rng, leaver),
                then: if rng.random() {
                    Afterwards::Stop
                } else {
                    Afterwards::Return
                },
            }
        });
        all
    }
}

fn some_node(rng: &mut SmallRng, nodes: usize) -> NodeId {
    NodeId::try_from(rng.random_range(0..nodes)).unwrap_or(NodeId::ZERO)
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evict { node, page } => write!(f, "node {node} has no room for page {page}"),
            Self::Pin { node, page, time } => {
                write!(f, "node {node} pins page {page} for {} ns", time.0)
            }
            Self::Signal { from, to } => write!(f, "node {from} signals node {to}"),
            Self::Partition { side, time } => {
                write!(f, "nodes {side} are cut off for {} ns", time.0)
            }
            Self::Reconnect { from, to } => write!(f, "link {from} to {to} is made anew"),
            Self::Leave { node, heir, then } => {
                let then = match then {
                    Afterwards::Stop => "stops",
                    Afterwards::Return => "comes back",
                };
                write!(f, "node {node} leaves in favour of node {heir}, and {then}")
            }
            Self::Kill { node } => write!(f, "node {node} dies"),
        }
    }
}
