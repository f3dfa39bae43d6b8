//! Joining over TCP.

use std::io::ErrorKind;
use std::net;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::TcpListener;

use super::TcpTransport;
use super::rendezvous::Rendezvous;
use crate::{Connector, JoinConfig, JoinError, Progress, Transport};

/// Joins a cluster over TCP: listens at the node's address, dials every node with a lower number,
/// and waits for the others until the deadline.
#[derive(Debug)]
pub struct TcpConnector {
    config: JoinConfig,
    listener: Option<net::TcpListener>,
}

impl TcpConnector {
    /// A connector that listens at `config.listen`, or else at the local node's address.
    #[must_use]
    pub fn new(config: JoinConfig) -> Self {
        Self {
            config,
            listener: None,
        }
    }

    /// A connector that takes a socket which listens already: from a launcher, or on a port that
    /// the system chose.
    #[must_use]
    pub fn with_listener(config: JoinConfig, listener: net::TcpListener) -> Self {
        Self {
            config,
            listener: Some(listener),
        }
    }

    /// Joins the cluster; as [`Connector::join`], but with the concrete type.
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn connect(
        &self,
        progress: &(dyn Fn(&Progress) + Sync),
    ) -> Result<TcpTransport, JoinError> {
        self.config.check()?;
        let listener = self.listen().await?;
        Rendezvous::new(&self.config, listener).run(progress).await
    }

    async fn listen(&self) -> Result<TcpListener, JoinError> {
        let system = |error: std::io::Error| JoinError::System(error.to_string());
        if let Some(listener) = &self.listener {
            let listener = listener.try_clone().map_err(system)?;
            listener.set_nonblocking(true).map_err(system)?;
            return TcpListener::from_std(listener).map_err(system);
        }
        let entry = &self.config.nodes[self.config.local.index()];
        let address = self.config.listen.as_ref().unwrap_or(&entry.address);
        TcpListener::bind(address).await.map_err(|error| {
            let port = address
                .rsplit_once(':')
                .and_then(|(_, port)| port.parse().ok());
            match (error.kind(), port) {
                (ErrorKind::AddrInUse, Some(port)) => JoinError::AddressInUse {
                    name: entry.name.clone(),
                    address: address.clone(),
                    port,
                },
                _ => JoinError::Listen {
                    address: address.clone(),
                    reason: error.to_string(),
                },
            }
        })
    }
}

#[async_trait]
impl Connector for TcpConnector {
    async fn join(
        &self,
        progress: &(dyn for<'p> Fn(&'p Progress) + Sync),
    ) -> Result<Arc<dyn Transport>, JoinError> {
        Ok(Arc::new(self.connect(progress).await?))
    }
}
