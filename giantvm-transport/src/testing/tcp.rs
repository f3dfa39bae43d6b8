//! Clusters over TCP within one process.

use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use giantvm_core::NodeId;

use super::{EPOCH, LIMITS};
use crate::tcp::TcpConnector;
use crate::{JoinConfig, JoinError, NodeEntry, SameHost, Transport, join_blocking};

/// Configurations and listening sockets for a cluster on one of this host's addresses, on ports
/// that the system chooses. The nodes are named `a`, `b` and so on.
///
/// # Errors
/// The address cannot be listened at.
pub fn loopback_configs(nodes: usize, at: IpAddr) -> io::Result<Vec<(JoinConfig, TcpListener)>> {
    let listeners = (0..nodes)
        .map(|_| TcpListener::bind((at, 0)))
        .collect::<io::Result<Vec<_>>>()?;
    let entry = |(name, listener): (char, &TcpListener)| {
        Ok(NodeEntry {
            name: name.to_string(),
            address: listener.local_addr()?.to_string(),
        })
    };
    let entries = ('a'..)
        .zip(&listeners)
        .map(entry)
        .collect::<io::Result<Vec<_>>>()?;
    let config = |local| JoinConfig {
        epoch: EPOCH,
        limits: LIMITS,
        ..JoinConfig::new("testing", entries.clone(), local)
    };
    Ok(NodeId::first(nodes).map(config).zip(listeners).collect())
}

/// A cluster of `nodes` nodes over TCP, all in this process; they share memory.
///
/// # Errors
/// [`JoinError`]
///
/// # Panics
/// If a joining thread does.
pub fn tcp_cluster(nodes: usize, at: IpAddr) -> Result<Vec<Arc<dyn Transport>>, JoinError> {
    cluster(nodes, at, SameHost::Share)
}

/// As [`tcp_cluster`], but over sockets alone, as between hosts.
///
/// # Errors
/// [`JoinError`]
///
/// # Panics
/// If a joining thread does.
pub fn socket_cluster(nodes: usize, at: IpAddr) -> Result<Vec<Arc<dyn Transport>>, JoinError> {
    cluster(nodes, at, SameHost::Sockets)
}

fn cluster(
    nodes: usize,
    at: IpAddr,
    same_host: SameHost,
) -> Result<Vec<Arc<dyn Transport>>, JoinError> {
    let configs =
        loopback_configs(nodes, at).map_err(|error| JoinError::System(error.to_string()))?;
    let join = |(mut config, listener): (JoinConfig, TcpListener)| {
        config.same_host = same_host;
        let connector = TcpConnector::with_listener(config, listener);
        thread::spawn(move || join_blocking(&connector, &|_| ()))
    };
    let threads: Vec<_> = configs.into_iter().map(join).collect();
    let joined = threads
        .into_iter()
        .map(|thread| thread.join().expect("a join does not panic"));
    joined.collect()
}
