//! The two nodes' ends of one link.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, NodeId, PageSize};
use giantvm_transport::tcp::TcpConnector;
use giantvm_transport::{JoinConfig, NodeEntry, SameHost, Transport, inproc, join_blocking};
use serde::Serialize;

/// How long a node may take to come and to go.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the nodes talk over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Link {
    /// A queue in this process.
    Inproc,
    /// Memory that they share.
    Shm,
    /// TCP on loopback.
    Tcp,
}

pub(crate) type Ends = [Arc<dyn Transport>; 2];

/// The node of an end.
pub(crate) fn node(end: usize) -> anyhow::Result<NodeId> {
    Ok(NodeId::new(u8::try_from(end)?)?)
}

/// Both ends of a new link.
pub(crate) fn ends(link: Link) -> anyhow::Result<Ends> {
    if link == Link::Inproc {
        let ends = inproc::cluster(2, Epoch::FIRST, Limits::for_pages(PageSize::K4))?;
        let ends = ends.into_iter().map(|end| end as Arc<dyn Transport>);
        return ends.collect::<Vec<_>>().try_into().ok().context("two ends");
    }
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr();
    let addresses = [listen()?, listen()?];
    let join = |end: usize| -> anyhow::Result<Arc<dyn Transport>> {
        let nodes = ["a", "b"].into_iter().zip(addresses);
        let nodes = nodes.map(|(name, address)| NodeEntry {
            name: name.into(),
            address: address.to_string(),
        });
        let mut config = JoinConfig::new("migrate", nodes.collect(), node(end)?);
        config.deadline = PATIENCE;
        config.same_host = match link {
            Link::Shm => SameHost::Share,
            Link::Inproc | Link::Tcp => SameHost::Sockets,
        };
        Ok(join_blocking(&TcpConnector::new(config), &|_| ())?)
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| join(1));
        let first = join(0)?;
        let other = other.join().expect("it does not panic")?;
        Ok([first, other])
    })
}

/// All bytes that both ends sent so far.
pub(crate) fn bytes(ends: &Ends) -> u64 {
    ends.iter().map(|end| end.traffic().bytes_sent).sum()
}
