//! The control plane: how a node comes to its [`Transport`].

use std::sync::Arc;

use async_trait::async_trait;

use crate::{JoinError, Progress, Transport};

/// Something that can join a cluster.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Joins the cluster, and tells `progress` who is missing whenever that changes and at least
    /// once a second. Runs on a tokio runtime with time and I/O enabled; dropping the future
    /// abandons the join.
    ///
    /// # Errors
    /// [`JoinError`]
    async fn join(
        &self,
        progress: &(dyn for<'p> Fn(&'p Progress) + Sync),
    ) -> Result<Arc<dyn Transport>, JoinError>;
}

/// Joins without a runtime of the caller's: blocks this thread until the join is over.
///
/// # Errors
/// [`JoinError`]
///
/// # Panics
/// If it is called from within a tokio runtime; use [`Connector::join`] there.
pub fn join_blocking(
    connector: &dyn Connector,
    progress: &(dyn Fn(&Progress) + Sync),
) -> Result<Arc<dyn Transport>, JoinError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| JoinError::System(error.to_string()))?;
    let joined = runtime.block_on(connector.join(progress));
    // A name lookup may still hang in a thread of its own: do not wait for it.
    runtime.shutdown_background();
    joined
}
