//! The accepting side of a join. Whoever connects is a stranger until the handshake is over.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::HANDSHAKE_TIMEOUT;
use super::channel::{Broken, Channel};
use super::news::{Link, News, Roster};
use super::share::shares;
use crate::JoinError;
use crate::handshake::{Handshake, HandshakeError, LocalNode};

/// Most handshakes under way. One more ends the oldest: strangers that say nothing cannot keep
/// nodes out, whose handshakes take milliseconds.
const PENDING: usize = 256;
/// Rest after the system refused to accept, for instance for want of descriptors.
const REST: Duration = Duration::from_millis(50);

/// Accepts connections until it is aborted.
pub(super) async fn accept_all(
    listener: TcpListener,
    local: Arc<LocalNode>,
    news: mpsc::Sender<News>,
) {
    let roster = Arc::new(Roster::default());
    let mut tasks = JoinSet::new();
    let mut pending: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            sleep(REST).await;
            continue;
        };
        while tasks.try_join_next().is_some() {}
        pending.retain(|task| !task.is_finished());
        if pending.len() == PENDING
            && let Some(oldest) = pending.pop_front()
        {
            oldest.abort();
        }
        let (local, roster, news) = (Arc::clone(&local), Arc::clone(&roster), news.clone());
        pending.push_back(tasks.spawn(async move {
            let outcome = timeout(HANDSHAKE_TIMEOUT, greet(stream, local, &roster)).await;
            let told = match outcome.unwrap_or(Err(Broken::TimedOut)) {
                Ok(link) => News::Link(link),
                Err(broken) => refuse(from, broken),
            };
            news.send(told).await.ok();
        }));
    }
}

async fn greet(stream: TcpStream, local: Arc<LocalNode>, roster: &Roster) -> Result<Link, Broken> {
    let mut channel = Channel::new(stream)?;
    let mut claim = None;
    let mut taken = |hello: &_| {
        claim = roster.claim(hello);
        claim.is_none()
    };
    let hello = channel
        .shake(
            Handshake::accept(Arc::clone(&local)),
            Vec::new(),
            &mut taken,
        )
        .await?;
    Ok(Link {
        node: hello.node,
        class: hello.class,
        instance: hello.instance,
        shares: shares(&local, &hello),
        channel,
        claim,
    })
}

fn refuse(from: SocketAddr, broken: Broken) -> News {
    tracing::debug!(%from, %broken, "connection refused");
    match broken {
        // Only a node of this cluster gets that far: one of the two is set up wrongly.
        Broken::Handshake(error @ HandshakeError::Differs(_)) => {
            News::Fatal(JoinError::Handshake {
                peer: from.to_string(),
                error,
            })
        }
        broken => News::Refused(format!("{from}: {broken}")),
    }
}
