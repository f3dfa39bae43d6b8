//! Drives the machine's life cycle: carries out what the pure state machine says.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use giantvm_core::wire::Class;
use giantvm_core::{Epoch, NodeId};
use giantvm_io::devices::PowerEvent;
use giantvm_io::machine::{Cause, Command, Event, Lifecycle, LifecycleViolation, Stop};
use giantvm_io::{Bus, Origin};
use giantvm_transport::{SendError, Transport};
use giantvm_vcpu::VcpuHost;

use crate::inbox::Notice;
use crate::scheduling::Desk;

/// The life cycle of the machine on this node, open to every thread.
#[derive(Debug)]
pub(crate) struct LifecycleDriver {
    transport: Arc<dyn Transport>,
    notices: Sender<Notice>,
    state: Mutex<State>,
    /// What has to be stopped, once it is there.
    machine: OnceLock<(Arc<dyn VcpuHost>, Arc<Bus>)>,
    /// Where vCPUs wait for threads, if there are any.
    desk: OnceLock<Weak<Desk>>,
}

#[derive(Debug)]
struct State {
    lifecycle: Lifecycle,
    /// Local vCPU threads that still run.
    running: usize,
}

impl LifecycleDriver {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        local_vcpus: usize,
        notices: Sender<Notice>,
    ) -> Self {
        let lifecycle = Lifecycle::new(transport.local(), transport.peers());
        Self {
            transport,
            notices,
            state: Mutex::new(State {
                lifecycle,
                running: local_vcpus,
            }),
            machine: OnceLock::new(),
            desk: OnceLock::new(),
        }
    }

    /// Gives the driver what it has to stop. Before this, nothing runs that could.
    pub(crate) fn attach(&self, host: Arc<dyn VcpuHost>, bus: Arc<Bus>) {
        self.machine.set((host, bus)).ok();
    }

    /// Gives it the desk whose vCPUs it has to let go.
    pub(crate) fn attach_desk(&self, desk: &Arc<Desk>) {
        self.desk.set(Arc::downgrade(desk)).ok();
    }

    pub(crate) fn power(&self, origin: Origin, event: PowerEvent) {
        self.stop(Stop::by_power(origin, event));
    }

    /// Something on this node ends the machine.
    pub(crate) fn stop(&self, stop: Stop) {
        self.feed(Event::Stop(stop));
    }

    /// This node cannot go on.
    pub(crate) fn fail(&self) {
        let stop = Stop::by_node(self.transport.local(), Cause::Failed(0));
        self.stop(stop);
    }

    pub(crate) fn lost(&self, node: NodeId) {
        self.feed(Event::Lost(node));
    }

    /// A node is gone that the machine does not need any more.
    pub(crate) fn gone(&self, node: NodeId) {
        self.feed(Event::Gone(node));
    }

    /// The machine will not be waited for any longer.
    pub(crate) fn deadline(&self) {
        self.feed(Event::Deadline);
    }

    pub(crate) fn message(
        &self,
        from: NodeId,
        message: giantvm_io::machine::MachineMessage,
    ) -> Result<(), LifecycleViolation> {
        self.handle(Event::Message { from, message })
    }

    /// Why the machine stops; `None` while it runs.
    pub(crate) fn reason(&self) -> Option<Stop> {
        self.locked().lifecycle.reason()
    }

    /// A vCPU has come to this node, and gets a thread. False if the machine stops: then it gets none.
    #[must_use]
    pub(crate) fn vcpu_arrived(&self) -> bool {
        let mut state = self.locked();
        let runs = state.lifecycle.reason().is_none();
        state.running += usize::from(runs);
        runs
    }

    /// A local vCPU thread has ended, or its vCPU has left this node.
    pub(crate) fn vcpu_ended(&self) {
        self.locked().running -= 1;
        self.feed(Event::VcpusStopped);
    }

    /// Feeds an event of this node, which the life cycle never refuses.
    fn feed(&self, event: Event) {
        if let Err(violation) = self.handle(event) {
            tracing::error!(%violation, "the life cycle refused an event of its own node");
        }
    }

    fn handle(&self, event: Event) -> Result<(), LifecycleViolation> {
        let mut state = self.locked();
        // A vCPU may have come since the last one ended.
        if event == Event::VcpusStopped && state.running > 0 {
            return Ok(());
        }
        let commands = state.lifecycle.handle(event)?;
        let idle = state.running == 0;
        // Under the lock, so that peers hear things in the order they were decided.
        for command in &commands {
            match *command {
                Command::StopVcpus => self.stop_vcpus(),
                Command::Send { to, message } => {
                    for node in to {
                        let frame = message.encode(self.transport.local(), Epoch::FIRST);
                        match self.transport.send(node, Class::Control, frame) {
                            Ok(()) | Err(SendError::Lost(_)) => {}
                            Err(error) => tracing::error!(%error, "a message was not sent"),
                        }
                    }
                }
                // The receiver is gone only when the program is past caring.
                Command::Finish(stop) => drop(self.notices.send(Notice::Finished(stop))),
            }
        }
        drop(state);
        if idle && commands.contains(&Command::StopVcpus) {
            self.feed(Event::VcpusStopped);
        }
        Ok(())
    }

    fn stop_vcpus(&self) {
        self.notices.send(Notice::Stopping).ok();
        let Some((host, bus)) = self.machine.get() else {
            return;
        };
        bus.stop();
        if let Some(desk) = self.desk.get().and_then(Weak::upgrade) {
            desk.close();
        }
        let local: Vec<_> = host.layout().local().collect();
        for vcpu in local {
            if let Err(error) = host.kick(vcpu) {
                // It may have left just now: where it arrives it gets no thread.
                tracing::debug!(%error, %vcpu, "a vCPU cannot be stopped");
            }
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
