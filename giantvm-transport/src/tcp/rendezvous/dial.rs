//! The dialing side of a join.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use giantvm_core::NodeId;
use giantvm_core::wire::{Class, DecodeError};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::HANDSHAKE_TIMEOUT;
use super::channel::{Broken, Channel};
use super::news::{Link, News};
use super::share::{self, shares};
use crate::handshake::{Handshake, HandshakeError, LocalNode, Refusal};
use crate::{JoinError, NodeEntry, Why};

/// The first rest after a failed attempt; it doubles up to [`LONGEST_REST`].
const FIRST_REST: Duration = Duration::from_millis(20);
const LONGEST_REST: Duration = Duration::from_millis(500);
/// How long one connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a node hears that its place is taken before it believes it. A node that was restarted
/// may come before the end of its predecessor was noticed.
const DUPLICATES: u32 = 5;

/// Dials one node until all its connections stand.
pub(super) async fn dial(
    local: Arc<LocalNode>,
    node: NodeId,
    entry: NodeEntry,
    news: mpsc::Sender<News>,
) {
    let (mut rest, mut duplicates) = (FIRST_REST, 0);
    loop {
        let Err(failure) = dial_classes(&local, node, &entry, &news).await else {
            return;
        };
        let told = match failure {
            Failure::Absent(why) => News::Absent { node, why },
            Failure::Broken(Broken::Handshake(error)) => {
                duplicates += u32::from(error == HandshakeError::Refused(Refusal::Duplicate));
                if is_final(&error) || duplicates == DUPLICATES {
                    let peer = format!("node {} at {}", entry.name, entry.address);
                    News::Fatal(JoinError::Handshake { peer, error })
                } else {
                    let why = Why::Handshake(error.to_string());
                    News::Absent { node, why }
                }
            }
            Failure::Broken(broken) => News::Absent {
                node,
                why: Why::Handshake(broken.to_string()),
            },
        };
        if news.send(told).await.is_err() {
            return;
        }
        sleep(rest).await;
        rest = (rest * 2).min(LONGEST_REST);
    }
}

enum Failure {
    Absent(Why),
    Broken(Broken),
}

async fn dial_classes(
    local: &Arc<LocalNode>,
    node: NodeId,
    entry: &NodeEntry,
    news: &mpsc::Sender<News>,
) -> Result<(), Failure> {
    let mut sharer = None;
    for class in Class::ALL {
        let stream = connect(&entry.address).await.map_err(Failure::Absent)?;
        let greeting = timeout(HANDSHAKE_TIMEOUT, greet(stream, local, node, class)).await;
        let link = greeting
            .unwrap_or(Err(Broken::TimedOut))
            .map_err(Failure::Broken)?;
        sharer = link.shares.then_some(link.instance);
        news.send(News::Link(link)).await.ok();
    }
    if let Some(instance) = sharer {
        let pipes = share::take(local, instance).await;
        let pipes = pipes.map_err(|error| Failure::Absent(Why::Unshared(error.to_string())))?;
        let news_of_it = News::Pipes {
            node,
            instance,
            pipes,
        };
        news.send(news_of_it).await.ok();
    }
    Ok(())
}

async fn greet(
    stream: TcpStream,
    local: &Arc<LocalNode>,
    node: NodeId,
    class: Class,
) -> Result<Link, Broken> {
    let mut channel = Channel::new(stream)?;
    let mut out = Vec::new();
    let handshake = Handshake::dial(Arc::clone(local), node, class, &mut out);
    let hello = channel.shake(handshake, out, &mut |_| false).await?;
    Ok(Link {
        node,
        class,
        instance: hello.instance,
        shares: shares(local, &hello),
        channel,
        claim: None,
    })
}

async fn connect(address: &str) -> Result<TcpStream, Why> {
    let unknown = |error: io::Error| Why::UnknownHost(error.to_string());
    let addresses = lookup_host(address).await.map_err(unknown)?;
    let mut why = Why::UnknownHost("no address".to_owned());
    for address in addresses {
        why = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Why::NotStarted,
                _ => Why::Unreachable(error.to_string()),
            },
            Err(_) => Why::Unreachable(format!("no answer in {} s", CONNECT_TIMEOUT.as_secs())),
        };
    }
    Err(why)
}

/// Whether trying again cannot help.
fn is_final(error: &HandshakeError) -> bool {
    match error {
        HandshakeError::Cluster { .. }
        | HandshakeError::Differs(_)
        | HandshakeError::Identity { .. }
        | HandshakeError::Decode(DecodeError::UnsupportedVersion(_))
        | HandshakeError::Refused(Refusal::Cluster | Refusal::Identity) => true,
        HandshakeError::Decode(_)
        | HandshakeError::BadName(_)
        | HandshakeError::Settings(_)
        | HandshakeError::OutOfTurn(_)
        | HandshakeError::Class
        | HandshakeError::Duplicate(_)
        | HandshakeError::Refused(Refusal::Malformed | Refusal::Duplicate) => false,
    }
}
