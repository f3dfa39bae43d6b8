//! How the node processes come together, and end together.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::exit;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use giantvm_core::{GuestAddress, NodeId, PageRange, PageSize};
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::engine::{Dsm, DsmOptions, Handlers, Waiting, Watcher};
use giantvm_dsm::protocol::HomeMap;
use giantvm_dsm::view::DsmMemory;
use giantvm_transport::tcp::TcpConnector;
use giantvm_transport::{JoinConfig, Loss, NodeEntry, SameHost, join_blocking};
use serde::{Deserialize, Serialize};

use crate::cli::Cli;

/// How long the other nodes may take to come and to go.
const PATIENCE: Duration = Duration::from_secs(30);

/// How each node's pump waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pump {
    /// Looks on for a moment while no one else needs the processor.
    Adaptive,
    /// Looks on whatever else the machine has to do.
    Latency,
    /// Sleeps at once.
    Blocking,
}

impl Pump {
    fn options(self) -> DsmOptions {
        let mut options = DsmOptions::default();
        options.waiting = match self {
            Self::Adaptive => Waiting::Adaptive,
            Self::Latency => Waiting::Latency,
            Self::Blocking => Waiting::Blocking,
        };
        options
    }
}

/// What the nodes talk over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Over {
    /// Memory that they share.
    Shm,
    /// TCP on loopback.
    Tcp,
}

/// Where everything is found on this host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cluster {
    /// Of node a, b and so on.
    ports: Vec<u16>,
    /// Of the connection that floors are measured on.
    pub(crate) raw: u16,
    /// The memory that floors are measured on.
    pub(crate) ring: PathBuf,
    /// The processors all share.
    pub(crate) cpus: Vec<usize>,
}

impl Cluster {
    /// Ports that are free now, and the listener of the raw connection.
    pub(crate) fn choose(
        nodes: usize,
        ring: PathBuf,
        cpus: Vec<usize>,
    ) -> anyhow::Result<(Self, TcpListener)> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let port = |listener: &TcpListener| listener.local_addr().map(|at| at.port());
        let listeners = (0..nodes)
            .map(|_| listen())
            .collect::<Result<Vec<_>, _>>()?;
        let raw = listen()?;
        let cluster = Self {
            ports: listeners.iter().map(port).collect::<Result<_, _>>()?,
            raw: port(&raw)?,
            ring,
            cpus,
        };
        Ok((cluster, raw))
    }

    /// How node `local` joins the others: the one place that says over what.
    fn config(&self, local: NodeId, over: Over) -> JoinConfig {
        let names = ["a", "b", "c", "d"].into_iter();
        let nodes = names.zip(&self.ports).map(|(name, port)| NodeEntry {
            name: name.into(),
            address: format!("127.0.0.1:{port}"),
        });
        let mut config = JoinConfig::new("dsm-bench", nodes.collect(), local);
        config.deadline = PATIENCE;
        config.same_host = match over {
            Over::Shm => SameHost::Share,
            Over::Tcp => SameHost::Sockets,
        };
        config
    }
}

/// One node: the shared memory, which is at home on b.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) number: usize,
    pub(crate) dsm: Dsm,
    /// The data, from address 0.
    pub(crate) memory: DsmMemory,
}

impl Node {
    pub(crate) fn join(number: usize, cluster: &Cluster, cli: &Cli) -> anyhow::Result<Self> {
        let config = cluster.config(NodeId::new(u8::try_from(number)?)?, cli.transport);
        let transport = join_blocking(&TcpConnector::new(config), &|_| ())?;
        let data = PageRange::first(cli.data_pages());
        let homes = HomeMap::new([(data, NodeId::new(1)?)])?;
        let handlers = Handlers::default().watch(Arc::new(EndTogether));
        let mut options = cli.pump.options();
        options.heat = !cli.no_heat;
        let dsm = cli
            .protocol
            .start(transport, PageSize::K4, homes, handlers, options)?;
        Ok(Self {
            number,
            memory: DsmMemory::new(dsm.mapping(), [(GuestAddress(0), data)])?,
            dsm,
        })
    }

    /// Leaves once the other nodes are done too.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        Ok(self.dsm.finish(PATIENCE)?)
    }
}

/// Without the other nodes threads may wait for their pages for ever.
struct EndTogether;

impl Watcher for EndTogether {
    fn lost(&self, node: NodeId, loss: &Loss) {
        eprintln!("dsm_bench: node {node} is lost: {loss}");
        exit(1)
    }

    fn failed(&self, error: &BackingError) {
        eprintln!("dsm_bench: {error}");
        exit(1)
    }
}
