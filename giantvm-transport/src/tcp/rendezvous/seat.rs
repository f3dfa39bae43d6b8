//! One other node's place in a join.

use std::sync::Arc;

use giantvm_core::NodeId;
use giantvm_core::wire::Class;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::channel::{Broken, Channel};
use super::news::{Claim, News};
use crate::Why;
use crate::handshake::{HandshakeError, LocalNode};
use crate::link::{Kind, expect_lengths};
use crate::pipe::ends::Pipes;

/// What has come of a node so far.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) why: Why,
    /// The process that sits here.
    pub(super) instance: Option<u64>,
    /// Tells news of this process from news of one before it.
    pub(super) generation: u64,
    /// Connections that wait for the others; the control connection comes last, from its vigil.
    pub(super) channels: [Option<Channel>; Class::ALL.len()],
    pub(super) claims: Vec<Claim>,
    /// Whether that process is on this host, and pipes have to come.
    pub(super) shares: bool,
    /// The last pipes that came, and with which process.
    pub(super) pipes: Option<(u64, Pipes)>,
    /// Who watches the control connection.
    pub(super) vigil: Option<AbortHandle>,
    /// Who dials the node.
    pub(super) dial: Option<AbortHandle>,
}

impl Seat {
    pub(super) fn new() -> Self {
        Self {
            why: Why::NotHeard,
            instance: None,
            generation: 0,
            channels: Default::default(),
            claims: Vec::new(),
            shares: false,
            pipes: None,
            vigil: None,
            dial: None,
        }
    }

    /// Forgets the process that sat here.
    pub(super) fn vacate(&mut self, why: Why) {
        if let Some(vigil) = self.vigil.take() {
            vigil.abort();
        }
        self.why = why;
        self.instance = None;
        self.generation += 1;
        self.channels = Default::default();
        self.claims.clear();
        self.shares = false;
    }

    /// Whether all connections to the node stand.
    pub(super) fn is_taken(&self) -> bool {
        let [control, demand, bulk] = &self.channels;
        let connected = self.vigil.is_some() || control.is_some();
        connected && demand.is_some() && bulk.is_some() && self.is_piped()
    }

    /// Whether pipes are there, if they have to be.
    fn is_piped(&self) -> bool {
        let with = self.pipes.as_ref().map(|(instance, _)| *instance);
        !self.shares || with.is_some() && with == self.instance
    }

    /// Whether the node has said that it has all its links, and was told the same.
    pub(super) fn is_ready(&self) -> bool {
        self.channels.iter().all(Option::is_some)
    }
}

/// Watches a control connection until both sides have said that they are ready, or it breaks.
pub(super) async fn keep_vigil(
    mut control: Channel,
    (node, generation): (NodeId, u64),
    local: Arc<LocalNode>,
    mut go: watch::Receiver<bool>,
    news: mpsc::Sender<News>,
) {
    let told = match exchange_ready(&mut control, node, &local, &mut go).await {
        Ok(()) => News::Ready {
            node,
            generation,
            control,
        },
        Err(broken) => {
            tracing::debug!(%node, %broken, "node went away during the join");
            News::Gone { node, generation }
        }
    };
    news.send(told).await.ok();
}

async fn exchange_ready(
    control: &mut Channel,
    node: NodeId,
    local: &LocalNode,
    go: &mut watch::Receiver<bool>,
) -> Result<(), Broken> {
    let (mut heard, mut said) = (false, false);
    while !(heard && said) {
        tokio::select! {
            // Once heard, the node has nothing to say before it hears from this one: the wait is
            // then for its end alone.
            frame = control.next() => {
                let frame = frame?;
                if heard || Kind::of(&frame).ok() != Some(Kind::Ready) || frame.from != node {
                    return Err(HandshakeError::OutOfTurn(frame.kind).into());
                }
                expect_lengths(&frame, 0, 0).map_err(HandshakeError::from)?;
                heard = true;
            }
            all = async { go.wait_for(|all| *all).await.is_ok() }, if !said => {
                if !all {
                    // The join ended without this node.
                    return Ok(());
                }
                control.send(&[Kind::Ready.empty(local.node, local.epoch)]).await?;
                said = true;
            }
        }
    }
    Ok(())
}
