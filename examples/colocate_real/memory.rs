//! The memory of a machine, on both hosts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::anyhow;
use giantvm_dsm::engine::parcel::When;
use giantvm_dsm::engine::{Dsm, DsmOptions, Priority, Waiting};

use crate::cgroup::Hosts;
use crate::link::{self, Ends};
use crate::node::{self, Shared};
use crate::plan::Plan;
use crate::side::Side;
use crate::vm::{self, Words};

/// Bytes that a node keeps of pages that it had, to be sent less when they come back.
const STANDBY: usize = 64 << 20;

/// Memory that threads on either host use, or that is on one of them at a time.
pub(crate) struct Memory {
    ends: Ends,
    nodes: Nodes,
}

enum Nodes {
    /// Distributed: a page is wherever it is used.
    Shared {
        nodes: Box<[Dsm; 2]>,
        views: [Box<dyn Words>; 2],
        parting: Arc<AtomicBool>,
    },
    /// Sent as a whole.
    Sent {
        sides: Arc<[Side; 2]>,
        over: Arc<AtomicBool>,
        pumps: Vec<JoinHandle<anyhow::Result<()>>>,
    },
}

impl Memory {
    /// Distributed memory whose pages are at home on a host. What serves it is a part of each host and
    /// runs before others there, as is usual.
    pub(crate) fn shared(plan: &Plan, hosts: &Hosts, home: usize) -> anyhow::Result<Self> {
        let ends = link::ends(plan.link)?;
        let mut options = DsmOptions::default();
        options.waiting = Waiting::Blocking;
        options.parcels.standby = STANDBY;
        // As pre-copy is not compressed here, pages are not either.
        options.parcels.lz4 = When::Never;
        let shared = Shared {
            size: plan.size,
            protocol: plan.protocol,
            options,
            home: link::node(home)?,
            parting: Arc::default(),
        };
        let start = |number: usize| -> anyhow::Result<Dsm> {
            let start = || {
                // The node's threads are where the one is that starts them.
                hosts.hosts[number].enter()?;
                node::start(&ends[number], &shared)
            };
            let started = std::thread::scope(|scope| scope.spawn(start).join());
            started.map_err(|_| anyhow!("a node panicked"))?
        };
        let nodes = [start(0)?, start(1)?];
        let views = [
            vm::view(nodes[0].mapping(), plan.size)?,
            vm::view(nodes[1].mapping(), plan.size)?,
        ];
        let parting = shared.parting;
        let nodes = Nodes::Shared {
            nodes: Box::new(nodes),
            views,
            parting,
        };
        Ok(Self { ends, nodes })
    }

    /// Memory that is sent. What takes it is a part of the host that it comes to.
    pub(crate) fn sent(plan: &Plan, hosts: &Arc<Hosts>) -> anyhow::Result<Self> {
        let ends = link::ends(plan.link)?;
        let sides = [
            Side::new(0, &ends[0], plan.size)?,
            Side::new(1, &ends[1], plan.size)?,
        ];
        let (sides, over) = (Arc::new(sides), Arc::new(AtomicBool::new(false)));
        let pump = |number: usize| {
            let (sides, over, hosts) = (sides.clone(), over.clone(), hosts.clone());
            std::thread::spawn(move || {
                hosts.hosts[number].enter()?;
                // As the threads of distributed memory do.
                Priority::Raised.apply();
                sides[number].pump(&over)
            })
        };
        let pumps = vec![pump(0), pump(1)];
        let nodes = Nodes::Sent { sides, over, pumps };
        Ok(Self { ends, nodes })
    }

    /// What threads on a host see.
    pub(crate) fn words(&self, host: usize) -> &[AtomicU64] {
        match &self.nodes {
            Nodes::Shared { views, .. } => views[host].words(),
            Nodes::Sent { sides, .. } => sides[host].words(),
        }
    }

    /// Both sides of memory that is sent.
    pub(crate) fn sides(&self) -> Option<&[Side; 2]> {
        match &self.nodes {
            Nodes::Shared { .. } => None,
            Nodes::Sent { sides, .. } => Some(sides),
        }
    }

    /// Bytes on the link so far.
    pub(crate) fn bytes(&self) -> u64 {
        link::bytes(&self.ends)
    }

    /// Says that something went wrong, and that its hosts part without a word.
    pub(crate) fn part(&self) {
        if let Nodes::Shared { parting, .. } = &self.nodes {
            parting.store(true, Ordering::Release);
        }
    }

    /// Ends it on both hosts.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self.nodes {
            Nodes::Shared { nodes, views, .. } => {
                drop(views);
                node::finish(*nodes)
            }
            Nodes::Sent { over, pumps, .. } => {
                over.store(true, Ordering::Relaxed);
                pumps
                    .into_iter()
                    .try_for_each(|pump| pump.join().map_err(|_| anyhow!("a node panicked"))?)
            }
        }
    }
}
