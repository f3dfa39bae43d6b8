//! How the two node processes come together, and end together.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, ExitStatus, exit};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use giantvm_core::{GuestAddress, NodeId, PageIndex, PageRange, PageSize};
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::engine::{Dsm, Handlers, Watcher};
use giantvm_dsm::protocol::HomeMap;
use giantvm_dsm::sync::Barrier;
use giantvm_dsm::view::{DsmMemory, Region};
use giantvm_transport::tcp::TcpConnector;
use giantvm_transport::{JoinConfig, Loss, NodeEntry, join_blocking};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::protocol::ProtocolKind;
use crate::workload::{Role, Script};

/// How long the other node may take to come and to go.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where everything listens on this host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    nodes: [u16; 2],
    /// Of the connection that floors are measured on.
    pub(crate) raw: u16,
}

impl Ports {
    /// Ports that are free now, and the listener of the raw connection.
    pub(crate) fn choose() -> anyhow::Result<(Self, TcpListener)> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (a, b, raw) = (listen()?, listen()?, listen()?);
        let port = |listener: &TcpListener| listener.local_addr().map(|at| at.port());
        let ports = Self {
            nodes: [port(&a)?, port(&b)?],
            raw: port(&raw)?,
        };
        Ok((ports, raw))
    }
}

impl FromStr for Ports {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let numbers: Vec<u16> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        let [a, b, raw] = numbers[..] else {
            anyhow::bail!("three ports are needed");
        };
        Ok(Self { nodes: [a, b], raw })
    }
}

/// The process of node b; it ends with this value.
#[derive(Debug)]
pub(crate) struct FarSide(Child);

impl FarSide {
    pub(crate) fn spawn(ports: Ports) -> anyhow::Result<Self> {
        let Ports { nodes: [a, b], raw } = ports;
        let child = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .args(["--far", &format!("{a},{b},{raw}")])
            .spawn()
            .context("cannot start node b")?;
        Ok(Self(child))
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> std::io::Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }

    pub(crate) fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.0.wait()
    }
}

impl Drop for FarSide {
    fn drop(&mut self) {
        // Neither does anything after `wait`.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Makes the kernel end this process when its parent ends, however that comes.
pub(crate) fn die_with_parent() -> anyhow::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// One node: the shared memory, and the barrier on a page before the data.
#[derive(Debug)]
pub(crate) struct Node {
    role: Role,
    dsm: Dsm,
    barrier: Region<Barrier>,
    memory: DsmMemory,
}

impl Node {
    pub(crate) fn join(
        role: Role,
        ports: Ports,
        protocol: ProtocolKind,
        data_pages: u64,
    ) -> anyhow::Result<Self> {
        let [a, b] = [NodeId::ZERO, NodeId::new(1)?];
        let nodes = ["a", "b"].into_iter().zip(ports.nodes);
        let nodes = nodes.map(|(name, port)| NodeEntry {
            name: name.into(),
            address: format!("127.0.0.1:{port}"),
        });
        let local = match role {
            Role::A => a,
            Role::B => b,
        };
        let mut config = JoinConfig::new("dsm-bench", nodes.collect(), local);
        config.deadline = PATIENCE;
        let transport = join_blocking(&TcpConnector::new(config), &|_| ())?;
        let barrier = PageRange::first(1);
        let data = PageRange {
            start: barrier.end,
            end: PageIndex(barrier.end.0 + data_pages),
        };
        let homes = HomeMap::new([(barrier, a), (data, b)])?;
        let handlers = Handlers::default().watch(Arc::new(EndTogether));
        let dsm = protocol.start(transport, PageSize::K4, homes, handlers)?;
        Ok(Self {
            role,
            barrier: Region::new(dsm.mapping(), barrier.start)?,
            memory: DsmMemory::new(dsm.mapping(), [(GuestAddress(0), data)])?,
            dsm,
        })
    }

    pub(crate) fn script(&self) -> Script<'_> {
        Script {
            role: self.role,
            memory: &self.memory,
            barrier: &self.barrier,
        }
    }

    /// Leaves once the other node is done too.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        Ok(self.dsm.finish(PATIENCE)?)
    }
}

/// Without the other node threads may wait for its pages for ever.
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
