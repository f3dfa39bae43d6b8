//! How all nodes of a machine come to one end.

use giantvm_core::{NodeId, NodeSet};

use super::{Cause, MachineMessage, Stop};

/// Where a node is in the life of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// vCPUs run.
    Running,
    /// vCPUs are being stopped, and the nodes tell one another why.
    Stopping,
    /// All nodes have stopped.
    Stopped,
}

/// What a life cycle reacts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Something on this node ends the machine.
    Stop(Stop),
    /// All vCPUs of this node are out of the guest and stay out.
    VcpusStopped,
    /// A peer says something.
    Message {
        /// The peer.
        from: NodeId,
        /// What it says.
        message: MachineMessage,
    },
    /// A peer is gone for good.
    Lost(NodeId),
    /// A peer is gone for good that the machine does not need any more.
    Gone(NodeId),
    /// The driver will not wait for the other nodes any longer.
    Deadline,
}

/// What the driver has to do, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Get all vCPUs of this node out of the guest, then report [`Event::VcpusStopped`].
    StopVcpus,
    /// Send a message to these nodes.
    Send {
        /// The receivers.
        to: NodeSet,
        /// The message.
        message: MachineMessage,
    },
    /// The machine has stopped everywhere, for this reason. [`Stop::restarts`] says what is next.
    Finish(Stop),
}

/// A peer said what no sound node says. The link to it should end; nothing else has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LifecycleViolation {
    /// The sender is no peer, or lost.
    #[error("node {0} is not a peer")]
    NoPeer(NodeId),
    /// A message that was said before.
    #[error("node {0} stopped twice")]
    Repeated(NodeId),
    /// A node that has stopped before it said why.
    #[error("node {0} has stopped before it said why")]
    Unannounced(NodeId),
    /// A message about a run that is over or far ahead.
    #[error("node {from} speaks of run {got} during run {current}")]
    Run {
        /// The sender.
        from: NodeId,
        /// The run it speaks of.
        got: u32,
        /// The run that goes on.
        current: u32,
    },
}

/// The life of a machine as one node sees it.
///
/// The first thing that any node has cause to stop for reaches all others, which stop at once. Each
/// node says once why it stops ([`MachineMessage::Stop`]): its own cause, or the one it heard of
/// first. When it has heard this from all peers and its own vCPUs stand still, it says so
/// ([`MachineMessage::Stopped`]); when it has heard that from all peers, the machine has stopped.
/// All nodes choose among the same causes, which are those that no node had heard of one another
/// when they came up, and report the one that takes precedence.
///
/// If one node is lost on the way, all others still report the same. If two are, all others still
/// stop, but may name different ones of them.
///
/// ```
/// use giantvm_core::{NodeId, NodeSet};
/// use giantvm_io::machine::{Cause, Command, Event, Lifecycle, Stop};
///
/// let mut alone = Lifecycle::new(NodeId::ZERO, NodeSet::EMPTY);
/// let stop = Stop::by_node(NodeId::ZERO, Cause::Interrupted);
/// assert_eq!(alone.handle(Event::Stop(stop))?, [Command::StopVcpus]);
/// assert_eq!(alone.handle(Event::VcpusStopped)?, [Command::Finish(stop)]);
/// # Ok::<(), giantvm_io::machine::LifecycleViolation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    local: NodeId,
    /// Peers that are not lost.
    live: NodeSet,
    run: u32,
    phase: Phase,
    /// The reason of all that was heard so far; `None` while running.
    reason: Option<Stop>,
    /// Whether the own vCPUs stand still.
    vcpus_stopped: bool,
    /// Whether this node has said that it stopped.
    said_stopped: bool,
    /// Peers that said why they stop.
    stopping: NodeSet,
    /// Peers that said that they have stopped.
    stopped: NodeSet,
    /// What peers who are a run ahead said: at most one each, as they cannot stop without this node.
    ahead: Vec<(NodeId, Stop)>,
}

impl Lifecycle {
    /// The life of a machine that node `local` runs with `peers`, in its first run.
    #[must_use]
    pub fn new(local: NodeId, peers: NodeSet) -> Self {
        Self {
            local,
            live: peers.without(local),
            run: 0,
            phase: Phase::Running,
            reason: None,
            vcpus_stopped: false,
            said_stopped: false,
            stopping: NodeSet::EMPTY,
            stopped: NodeSet::EMPTY,
            ahead: Vec::new(),
        }
    }

    /// Where this node is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Why the machine stops, by all that is known so far; `None` while it runs.
    #[must_use]
    pub const fn reason(&self) -> Option<Stop> {
        self.reason
    }

    /// How many times the machine has been restarted.
    #[must_use]
    pub const fn run(&self) -> u32 {
        self.run
    }

    /// Peers that have not said yet that they have stopped.
    #[must_use]
    pub const fn awaited(&self) -> NodeSet {
        self.live.minus(self.stopped)
    }

    /// Takes an event and says what to do.
    ///
    /// # Errors
    /// [`LifecycleViolation`] for a message that no sound peer sends.
    pub fn handle(&mut self, event: Event) -> Result<Vec<Command>, LifecycleViolation> {
        let mut commands = Vec::new();
        match event {
            Event::Stop(stop) => self.begin(stop, &mut commands),
            Event::VcpusStopped => self.vcpus_stopped |= self.phase == Phase::Stopping,
            Event::Message { from, message } => self.message(from, message, &mut commands)?,
            Event::Lost(node) => self.lost(node, &mut commands),
            Event::Gone(node) => self.live = self.live.without(node),
            Event::Deadline => self.give_up(&mut commands),
        }
        self.advance(&mut commands);
        Ok(commands)
    }

    /// Begins the next run after [`Command::Finish`]; peers may have begun it already and even
    /// ended it, so there may be something to do at once. `None` unless the machine has stopped.
    pub fn restart(&mut self) -> Option<Vec<Command>> {
        if self.phase != Phase::Stopped {
            return None;
        }
        let ahead = std::mem::take(&mut self.ahead);
        *self = Self {
            run: self.run.wrapping_add(1),
            ..Self::new(self.local, self.live)
        };
        let mut commands = Vec::new();
        for (from, stop) in ahead {
            self.stopping = self.stopping.with(from);
            self.heard(stop, &mut commands);
        }
        self.advance(&mut commands);
        Some(commands)
    }

    fn begin(&mut self, stop: Stop, commands: &mut Vec<Command>) {
        if self.phase == Phase::Running {
            self.phase = Phase::Stopping;
            self.reason = Some(stop);
            commands.push(Command::StopVcpus);
            let run = self.run;
            self.say(MachineMessage::Stop { run, stop }, commands);
        }
    }

    fn heard(&mut self, stop: Stop, commands: &mut Vec<Command>) {
        self.begin(stop, commands);
        self.reason = self.reason.max(Some(stop));
    }

    fn message(
        &mut self,
        from: NodeId,
        message: MachineMessage,
        commands: &mut Vec<Command>,
    ) -> Result<(), LifecycleViolation> {
        if !self.live.contains(from) {
            return Err(LifecycleViolation::NoPeer(from));
        }
        let (MachineMessage::Stop { run, .. } | MachineMessage::Stopped { run, .. }) = message;
        match message {
            // A peer that has heard all that this node waits for restarts before it.
            MachineMessage::Stop { stop, .. } if run == self.run.wrapping_add(1) => {
                let early = self.ahead.iter().any(|&(node, _)| node == from);
                if early || !self.stopped.contains(from) || !self.said_stopped {
                    return Err(LifecycleViolation::Repeated(from));
                }
                self.ahead.push((from, stop));
            }
            _ if run != self.run => {
                let (got, current) = (run, self.run);
                return Err(LifecycleViolation::Run { from, got, current });
            }
            MachineMessage::Stop { .. } if self.stopping.contains(from) => {
                return Err(LifecycleViolation::Repeated(from));
            }
            MachineMessage::Stop { stop, .. } => {
                self.stopping = self.stopping.with(from);
                self.heard(stop, commands);
            }
            MachineMessage::Stopped { .. } if self.stopped.contains(from) => {
                return Err(LifecycleViolation::Repeated(from));
            }
            MachineMessage::Stopped { .. } if !self.stopping.contains(from) => {
                return Err(LifecycleViolation::Unannounced(from));
            }
            MachineMessage::Stopped { stop, .. } => {
                self.stopped = self.stopped.with(from);
                // After a deadline it comes too late to change what was reported.
                if self.phase == Phase::Stopping {
                    self.heard(stop, commands);
                }
            }
        }
        Ok(())
    }

    fn lost(&mut self, node: NodeId, commands: &mut Vec<Command>) {
        if !self.live.contains(node) {
            return;
        }
        self.live = self.live.without(node);
        // A node that said why it stops has done its part. What others missed of it, they say.
        match self.phase {
            Phase::Running => self.begin(Stop::by_loss(node), commands),
            Phase::Stopping if !self.stopping.contains(node) => {
                self.reason = self.reason.max(Some(Stop::by_loss(node)));
            }
            Phase::Stopping | Phase::Stopped => {}
        }
    }

    fn advance(&mut self, commands: &mut Vec<Command>) {
        let (Phase::Stopping, Some(stop)) = (self.phase, self.reason) else {
            return;
        };
        let heard_all = self.live.is_subset(self.stopping);
        if self.vcpus_stopped && heard_all && !self.said_stopped {
            self.said_stopped = true;
            let run = self.run;
            self.say(MachineMessage::Stopped { run, stop }, commands);
        }
        let all_stopped = self.said_stopped && self.awaited().is_empty();
        self.finish_if(all_stopped, commands);
    }

    /// Finishes without the nodes that have not stopped. Such a machine cannot start again in step,
    /// so the reason says that.
    fn give_up(&mut self, commands: &mut Vec<Command>) {
        if self.phase == Phase::Stopping {
            let slow = self.awaited().lowest().unwrap_or(self.local);
            self.reason = self.reason.max(Some(Stop::by_node(slow, Cause::TimedOut)));
            self.finish_if(true, commands);
        }
    }

    fn finish_if(&mut self, finished: bool, commands: &mut Vec<Command>) {
        if let Some(stop) = self.reason
            && finished
        {
            self.phase = Phase::Stopped;
            commands.push(Command::Finish(stop));
        }
    }

    fn say(&self, message: MachineMessage, commands: &mut Vec<Command>) {
        if !self.live.is_empty() {
            commands.push(Command::Send {
                to: self.live,
                message,
            });
        }
    }
}
