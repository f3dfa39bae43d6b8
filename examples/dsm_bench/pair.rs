//! How the node processes come together, and end together.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::ensure;
use clap::ValueEnum;
use giantvm_core::{GuestAddress, NodeId, PageRange, PageSize};
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::engine::{Dsm, DsmOptions, Handlers, Waiting, Watcher};
use giantvm_dsm::protocol::HomeMap;
use giantvm_dsm::view::DsmMemory;
use giantvm_transport::tcp::TcpConnector;
use giantvm_transport::{JoinConfig, Loss, NodeEntry, SameHost, Transport, join_blocking};
use serde::{Deserialize, Serialize};

use crate::cli::Cli;

/// How long the other nodes may take to come and to go.
const PATIENCE: Duration = Duration::from_secs(30);

/// How each node's pump waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Pump {
    /// Looks on for a moment while no one else needs the processor.
    Adaptive,
    /// Looks on whatever else the machine has to do.
    Latency,
    /// Sleeps at once.
    Blocking,
}

impl Pump {
    pub(crate) fn options(self) -> DsmOptions {
        let mut options = DsmOptions::default();
        options.waiting = match self {
            Self::Adaptive => Waiting::Adaptive,
            Self::Latency => Waiting::Latency,
            Self::Blocking => Waiting::Blocking,
        };
        options
    }
}

/// What a plain node does unasked, or not.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Knobs {
    pub(crate) pump: Pump,
    pub(crate) read_ahead: bool,
    /// See [`DsmOptions`].
    pub(crate) migratory: bool,
    pub(crate) hold: bool,
    /// Whether homes move.
    pub(crate) moves: bool,
    /// The node that is home to all pages.
    pub(crate) home: u8,
}

impl Knobs {
    /// All as they are by themselves; b is home.
    pub(crate) const fn of(pump: Pump) -> Self {
        Self {
            pump,
            read_ahead: true,
            migratory: true,
            hold: true,
            moves: true,
            home: 1,
        }
    }

    /// Joins `cluster` as its node `number`.
    pub(crate) fn join(self, number: usize, cluster: &Cluster, cli: &Cli) -> anyhow::Result<Node> {
        let mut options = self.pump.options();
        if !self.read_ahead {
            options.read_ahead = 0;
        }
        (options.migratory, options.hold) = (self.migratory, self.hold);
        let pages = PageRange::first(cli.data_pages());
        let homes = HomeMap::new([(pages, NodeId::new(self.home)?)])?;
        let homes = if self.moves { homes } else { homes.staying() };
        let transport = cluster.join(number, cli.transport)?;
        Node::start(number, transport, homes, cli, options)
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

/// Ports to choose from, of which each process has some of its own.
const PORTS: Range<u16> = 10_000..32_000;
const OWN_PORTS: u16 = 100;
/// Which of its own ports this process tries next.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// Where the nodes are found on this host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cluster {
    /// Of node a, b and so on.
    ports: Vec<u16>,
    /// The processors all share.
    pub(crate) cpus: Vec<usize>,
}

impl Cluster {
    /// Ports that are free now, and that neither this process nor, most likely, another one like it will
    /// choose before they are taken: outside of those that the system gives to who asks for any.
    pub(crate) fn choose(nodes: usize, cpus: &[usize]) -> anyhow::Result<Self> {
        let own = PORTS.start + u16::try_from(std::process::id() % 220)? * OWN_PORTS;
        let next = || own + NEXT_PORT.fetch_add(1, Ordering::Relaxed) % OWN_PORTS;
        let is_free = |&port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let tries = std::iter::repeat_with(next).take(usize::from(2 * OWN_PORTS));
        let ports: Vec<_> = tries.filter(is_free).take(nodes).collect();
        ensure!(ports.len() == nodes, "too few free ports among {PORTS:?}");
        Ok(Self {
            ports,
            cpus: cpus.to_vec(),
        })
    }

    /// Comes together with the others as node `number`: the one place that says over what.
    pub(crate) fn join(&self, number: usize, over: Over) -> anyhow::Result<Arc<dyn Transport>> {
        let nodes = ('a'..).zip(&self.ports).map(|(name, port)| NodeEntry {
            name: name.into(),
            address: format!("127.0.0.1:{port}"),
        });
        let local = NodeId::new(u8::try_from(number)?)?;
        let mut config = JoinConfig::new("dsm-bench", nodes.collect(), local);
        config.deadline = PATIENCE;
        config.same_host = match over {
            Over::Shm => SameHost::Share,
            Over::Tcp => SameHost::Sockets,
        };
        Ok(join_blocking(&TcpConnector::new(config), &|_| ())?)
    }
}

/// The port of a listener on this host.
pub(crate) fn port(listener: &TcpListener) -> std::io::Result<u16> {
    listener.local_addr().map(|at| at.port())
}

/// One node: the shared memory, and who moves it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) number: usize,
    pub(crate) dsm: Dsm,
    /// The data, from address 0.
    pub(crate) memory: DsmMemory,
}

impl Node {
    /// Joins `cluster` as its node `number`, with memory that is at home on b.
    pub(crate) fn join(
        number: usize,
        cluster: &Cluster,
        cli: &Cli,
        options: DsmOptions,
    ) -> anyhow::Result<Self> {
        let homes = HomeMap::new([(PageRange::first(cli.data_pages()), NodeId::new(1)?)])?;
        let transport = cluster.join(number, cli.transport)?;
        Self::start(number, transport, homes, cli, options)
    }

    /// Starts to share memory over `transport`.
    pub(crate) fn start(
        number: usize,
        transport: Arc<dyn Transport>,
        homes: HomeMap,
        cli: &Cli,
        mut options: DsmOptions,
    ) -> anyhow::Result<Self> {
        let size = PageSize::K4;
        options.heat = !cli.no_heat;
        let dsm = cli
            .protocol
            .start(transport, size, homes, together(), options)?;
        Self::of(number, dsm)
    }

    /// A node whose memory is served already.
    pub(crate) fn of(number: usize, dsm: Dsm) -> anyhow::Result<Self> {
        let pages = PageRange::first(dsm.mapping().pages());
        Ok(Self {
            number,
            memory: DsmMemory::new(dsm.mapping(), [(GuestAddress(0), pages)])?,
            dsm,
        })
    }

    /// Leaves once the other nodes are done too.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        Ok(self.dsm.finish(PATIENCE)?)
    }
}

/// Handlers of a node that cannot do without the others.
pub(crate) fn together() -> Handlers {
    Handlers::default().watch(Arc::new(EndTogether))
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
