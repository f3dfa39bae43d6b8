//! Pipes between nodes of one host, as part of a join.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::news::News;
use crate::handshake::{Hello, LocalNode};
use crate::pipe::ends::Pipes;
use crate::pipe::exchange::{self, ExchangeError};

/// Most exchanges under way; others wait in the socket's queue.
const PENDING: usize = 8;
/// Rest after the system refused to accept.
const REST: Duration = Duration::from_millis(50);

/// Whether the node that greets is on this host, and both share memory.
pub(super) fn shares(local: &LocalNode, hello: &Hello) -> bool {
    local.host != 0 && local.host == hello.host
}

/// Gets pipes from the process `giver`.
pub(super) async fn take(local: &Arc<LocalNode>, giver: u64) -> Result<Pipes, ExchangeError> {
    let local = Arc::clone(local);
    let taken =
        spawn_blocking(move || exchange::take(local.node, (local.instance, giver), local.limits));
    taken.await.map_err(io::Error::other)?
}

/// Gives pipes to whoever asks, until it is aborted.
pub(super) async fn give_all(
    listener: std::os::unix::net::UnixListener,
    local: Arc<LocalNode>,
    news: mpsc::Sender<News>,
) {
    let places = Arc::new(Semaphore::new(PENDING));
    let listener = listener
        .set_nonblocking(true)
        .and_then(|()| UnixListener::from_std(listener));
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "no memory is shared with other nodes"),
    };
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = listener
            .accept()
            .await
            .and_then(|(stream, _)| stream.into_std());
        let Ok(stream) = stream else {
            sleep(REST).await;
            continue;
        };
        let (local, news) = (Arc::clone(&local), news.clone());
        tokio::spawn(async move {
            let given =
                spawn_blocking(move || exchange::give(stream, local.instance, local.limits));
            match given.await {
                Ok(Ok((node, instance, pipes))) => {
                    let told = News::Pipes {
                        node,
                        instance,
                        pipes,
                    };
                    news.send(told).await.ok();
                }
                Ok(Err(error)) => tracing::debug!(%error, "no pipes for a node of this host"),
                Err(error) => tracing::error!(%error, "the exchange of pipes failed"),
            }
            drop(place);
        });
    }
}
