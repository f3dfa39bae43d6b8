//! The join: from a listening socket to links with every node.
//!
//! Of two nodes the one with the higher number dials. A node that has all its links says so on
//! each control connection, and the join is over when it has heard the same from all: from then on
//! every node polls, so silence means death.

mod channel;
mod dial;
mod listen;
mod news;
mod seat;
mod share;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use giantvm_core::NodeId;
use giantvm_core::wire::Class;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::news::{Link, News};
use self::seat::Seat;
use super::TcpTransport;
use super::transport::Joined;
use crate::handshake::LocalNode;
use crate::pipe::exchange;
use crate::{JoinConfig, JoinError, Missing, Progress, Why};

/// How long a handshake may take, from the connection to the last word.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// News that wait for the main loop; their senders wait when there are more.
const NEWS: usize = 64;
/// How often progress is told when nothing changes.
const TELL: Duration = Duration::from_secs(1);

/// A join under way.
pub(super) struct Rendezvous<'a> {
    config: &'a JoinConfig,
    local: Arc<LocalNode>,
    seats: BTreeMap<NodeId, Seat>,
    refused: Option<String>,
    started: Instant,
    /// Becomes true when this node has all its links.
    go: watch::Sender<bool>,
    news: (mpsc::Sender<News>, mpsc::Receiver<News>),
    /// All tasks; they end with the join, however it ends.
    tasks: JoinSet<()>,
}

impl<'a> Rendezvous<'a> {
    pub(super) fn new(config: &'a JoinConfig, listener: TcpListener) -> Self {
        let mut local = Arc::new(config.local_node());
        let news = mpsc::channel(NEWS);
        let mut tasks = JoinSet::new();
        if local.host != 0 {
            match exchange::listen(local.instance) {
                Ok(listener) => {
                    let local = Arc::clone(&local);
                    tasks.spawn(share::give_all(listener, local, news.0.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "no memory is shared with nodes of this host");
                    Arc::make_mut(&mut local).host = 0;
                }
            }
        }
        tasks.spawn(listen::accept_all(
            listener,
            Arc::clone(&local),
            news.0.clone(),
        ));
        let others = NodeId::first(config.nodes.len()).filter(|node| *node != config.local);
        Self {
            config,
            local,
            seats: others.map(|node| (node, Seat::new())).collect(),
            refused: None,
            started: Instant::now(),
            go: watch::Sender::new(false),
            news,
            tasks,
        }
    }

    pub(super) async fn run(
        mut self,
        progress: &(dyn Fn(&Progress) + Sync),
    ) -> Result<TcpTransport, JoinError> {
        let lower: Vec<_> = self
            .seats
            .range(..self.config.local)
            .map(|(node, _)| *node)
            .collect();
        lower.into_iter().for_each(|node| self.dial(node));
        let deadline = self.started + self.config.deadline;
        let mut tell = interval(TELL);
        tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Vec::new();
        while !self.seats.values().all(Seat::is_ready) {
            tokio::select! {
                Some(news) = self.news.1.recv() => {
                    self.hear(news)?;
                    let missing = self.missing();
                    if missing != told {
                        progress(&self.progress());
                        told = missing;
                    }
                }
                _ = tell.tick() => progress(&self.progress()),
                () = sleep_until(deadline) => return Err(self.late()),
            }
        }
        self.finish()
    }

    fn dial(&mut self, node: NodeId) {
        let entry = self.config.nodes[node.index()].clone();
        let dial = dial::dial(Arc::clone(&self.local), node, entry, self.news.0.clone());
        let task = self.tasks.spawn(dial);
        if let Some(seat) = self.seats.get_mut(&node)
            && let Some(before) = seat.dial.replace(task)
        {
            before.abort();
        }
    }

    fn hear(&mut self, news: News) -> Result<(), JoinError> {
        // Ended tasks leave their place.
        while self.tasks.try_join_next().is_some() {}
        match news {
            News::Link(link) => self.seat(link),
            News::Absent { node, why } => {
                if let Some(seat) = self.seats.get_mut(&node) {
                    seat.why = why;
                }
            }
            News::Pipes {
                node,
                instance,
                pipes,
            } => {
                if let Some(seat) = self.seats.get_mut(&node) {
                    seat.pipes = Some((instance, pipes));
                }
            }
            News::Refused(text) => self.refused = Some(text),
            News::Gone { node, generation } => self.vacate(node, generation)?,
            News::Ready {
                node,
                generation,
                control,
            } => {
                if let Some(seat) = self.seats.get_mut(&node)
                    && seat.generation == generation
                {
                    seat.channels[Class::Control.index()] = Some(control);
                }
            }
            News::Fatal(error) => return Err(error),
        }
        if self.seats.values().all(Seat::is_taken) {
            self.go.send_replace(true);
        }
        Ok(())
    }

    /// Takes in a new connection.
    fn seat(&mut self, link: Link) {
        let Some(seat) = self.seats.get_mut(&link.node) else {
            return;
        };
        if seat
            .instance
            .is_some_and(|instance| instance != link.instance)
        {
            seat.vacate(Why::Left);
        }
        seat.instance = Some(link.instance);
        seat.claims.extend(link.claim);
        seat.shares = link.shares;
        if link.class != Class::Control {
            seat.channels[link.class.index()] = Some(link.channel);
            return;
        }
        let vigil = seat::keep_vigil(
            link.channel,
            (link.node, seat.generation),
            Arc::clone(&self.local),
            self.go.subscribe(),
            self.news.0.clone(),
        );
        if let Some(before) = seat.vigil.replace(self.tasks.spawn(vigil)) {
            before.abort();
        }
    }

    /// Notes that a node went away.
    fn vacate(&mut self, node: NodeId, generation: u64) -> Result<(), JoinError> {
        let Some(seat) = self
            .seats
            .get_mut(&node)
            .filter(|seat| seat.generation == generation)
        else {
            return Ok(());
        };
        seat.vacate(Why::Left);
        if *self.go.borrow() {
            let name = self.config.nodes[node.index()].name.clone();
            return Err(JoinError::Left(name));
        }
        if node < self.config.local {
            self.dial(node);
        }
        Ok(())
    }

    fn missing(&self) -> Vec<Missing> {
        let absent = self.seats.iter().filter(|(_, seat)| !seat.is_taken());
        let entry = |node: NodeId| &self.config.nodes[node.index()];
        absent
            .map(|(&node, seat)| Missing {
                node,
                name: entry(node).name.clone(),
                address: entry(node).address.clone(),
                why: seat.why.clone(),
            })
            .collect()
    }

    fn progress(&self) -> Progress {
        Progress {
            waited: self.started.elapsed(),
            deadline: self.config.deadline,
            missing: self.missing(),
            refused: self.refused.clone(),
        }
    }

    fn late(&self) -> JoinError {
        let Progress {
            waited,
            missing,
            refused,
            ..
        } = self.progress();
        let unreachable =
            |missing: &&Missing| matches!(missing.why, Why::Unreachable(_) | Why::UnknownHost(_));
        match missing.iter().find(unreachable).cloned() {
            Some(missing) => JoinError::Unreachable { missing, waited },
            None => JoinError::Deadline {
                waited,
                missing,
                refused,
            },
        }
    }

    /// Moves the sockets out of the runtime.
    fn finish(self) -> Result<TcpTransport, JoinError> {
        let system = |error: std::io::Error| JoinError::System(error.to_string());
        let mut joined = Vec::new();
        for (node, seat) in self.seats {
            let parts = seat
                .channels
                .into_iter()
                .flatten()
                .map(channel::Channel::into_parts);
            let parts: Vec<_> = parts.collect::<Result<_, _>>().map_err(system)?;
            // A seat that is ready has all its connections.
            let parts = parts.try_into();
            let parts = parts.map_err(|_| JoinError::System("a connection is missing".into()))?;
            joined.push(Joined {
                node,
                connections: parts,
                pipes: seat.pipes.filter(|_| seat.shares).map(|(_, pipes)| pipes),
            });
        }
        let config = self.config;
        TcpTransport::start(config.local, config.epoch, config.limits, joined).map_err(system)
    }
}
