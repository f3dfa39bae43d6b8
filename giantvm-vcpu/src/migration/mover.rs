//! Drives a [`Residence`]: carries out on a node's host what it says.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;

use giantvm_core::{NodeId, NodeSet, VcpuId};

use super::error::ResidenceError;
use super::message::Message;
use super::place::Place;
use super::residence::Residence;
use super::step::{Command, Input, Outcome};
use crate::error::VcpuError;
use crate::haste::{self, Haste, Living};
use crate::host::{InterruptSink, NotLeft, Vcpu, VcpuHost};
use crate::interrupt::Interrupt;
use crate::layout::Layout;
use crate::state::ArchState;

/// How often it is tried to stop a node's vCPUs for a moment. Each time takes 100 ms at most, and fails only
/// while KVM fetches a page for one of them that takes longer.
const TRIES: u32 = 10;
/// The same for a vCPU that comes back: it has no other place, and a busy host has time for it again.
const TRIES_TO_RETURN: u32 = 600;

/// What a [`Mover`] needs of the program around it.
pub trait Carrier: Send + Sync {
    /// Sends a message, in the order of the calls to that node. Must not wait, nor call the mover. What is
    /// sent to a lost node is dropped.
    fn send(&self, to: NodeId, message: Message);

    /// Runs a vCPU from now on, by a thread that asks [`Mover::wants`] after every exit.
    fn run(&self, vcpu: Box<dyn Vcpu>);

    /// A vCPU comes that has seen this time-stamp counter, if its state tells: makes sure that none here is
    /// behind, and says what guests' counters are ahead of this host's, in ticks.
    fn tsc_offset(&self, seen: Option<u64>) -> i64;

    /// A vCPU moved from another node, or this one, to `to`, which is not this. Told in the order of that
    /// node's messages: before anything that the vCPU does there.
    fn relocated(&self, vcpu: VcpuId, to: NodeId);

    /// A move that was [begun](Mover::begin) here has ended.
    fn ended(&self, vcpu: VcpuId, to: NodeId, outcome: Outcome);

    /// Interrupts of this vCPU are no longer noticed, or it can run nowhere: the machine has to stop.
    fn failed(&self, vcpu: VcpuId, error: VcpuError);
}

/// Moves vCPUs of a node: its [`Residence`], its host, and a thread for what takes a moment.
///
/// It is the host's [`InterruptSink`], by way of an [`Arc`]. `tests/moves` has a program around it.
pub struct Mover {
    carrier: Arc<dyn Carrier>,
    residence: Mutex<Residence>,
    host: OnceLock<Weak<dyn VcpuHost>>,
    /// Whether a vCPU is to leave, by its number: for its thread, which asks often.
    wanted: Vec<AtomicBool>,
    /// Where to, and how often the node's vCPUs could not be stopped for that.
    wishes: Mutex<BTreeMap<VcpuId, (NodeId, u32)>>,
    /// vCPUs that nobody runs yet.
    loaded: Mutex<BTreeMap<VcpuId, Box<dyn Vcpu>>>,
    loads: Mutex<Sender<Load>>,
    /// The thread that loads.
    loader: Arc<Living>,
}

/// At most one a vCPU.
struct Load {
    vcpu: VcpuId,
    state: Box<ArchState>,
}

impl Mover {
    /// The mover of a node whose vCPUs are where `layout` says, and starts its thread.
    ///
    /// # Errors
    /// The system's, if there can be no thread.
    pub fn start(
        layout: &Layout,
        peers: NodeSet,
        carrier: Arc<dyn Carrier>,
    ) -> io::Result<Arc<Self>> {
        let (loads, queue) = channel();
        let loader = Arc::new(Living::default());
        let mover = Arc::new(Self {
            carrier,
            residence: Mutex::new(Residence::new(layout, peers)),
            host: OnceLock::new(),
            wanted: layout.all().map(|_| AtomicBool::new(false)).collect(),
            wishes: Mutex::default(),
            loaded: Mutex::default(),
            loads: Mutex::new(loads),
            loader: Arc::clone(&loader),
        });
        let weak = Arc::downgrade(&mover);
        thread::Builder::new()
            .name("mover".into())
            .spawn(move || load_for_ever(&weak, &loader, &queue))?;
        Ok(mover)
    }

    /// Whose vCPUs they are. To be told before the first of them runs.
    pub fn attach(&self, host: &Arc<dyn VcpuHost>) {
        self.host.set(Arc::downgrade(host)).ok();
    }

    /// Where a vCPU is, as far as this node knows.
    #[must_use]
    pub fn place(&self, vcpu: VcpuId) -> Option<Place> {
        self.residence().place(vcpu)
    }

    /// Begins to move a vCPU of this node. [`Carrier::ended`] tells what became of it.
    ///
    /// # Errors
    /// [`ResidenceError::Refused`].
    pub fn begin(&self, vcpu: VcpuId, to: NodeId) -> Result<(), ResidenceError> {
        self.handle(Input::Move { vcpu, to })
    }

    /// Takes up a message of a peer.
    ///
    /// # Errors
    /// [`ResidenceError::Violation`].
    pub fn message(&self, from: NodeId, message: Message) -> Result<(), ResidenceError> {
        self.handle(Input::Message { from, message })
    }

    /// Takes up that a node is lost.
    pub fn lost(&self, node: NodeId) {
        self.handle_own(Input::Lost(node));
    }

    /// Whether the vCPU's thread has to call [`depart`](Self::depart).
    #[must_use]
    pub fn wants(&self, vcpu: VcpuId) -> bool {
        let wanted = self.wanted.get(vcpu.index());
        wanted.is_some_and(|wanted| wanted.load(Ordering::Acquire))
    }

    /// Takes a vCPU that is wanted, after an exit that was answered. Gives it back if it has to run on, and
    /// be asked for after the next exit.
    #[must_use]
    pub fn depart(&self, vcpu: Box<dyn Vcpu>) -> Option<Box<dyn Vcpu>> {
        let id = vcpu.id();
        let wish = self.wishes().get(&id).copied();
        let Some((to, timeouts)) = wish else {
            return Some(vcpu);
        };
        let _haste = Haste::begin();
        let NotLeft { vcpu, error } = match vcpu.leave(to) {
            Ok(state) => {
                let state = Box::new(state);
                self.unwish(id);
                self.handle_own(Input::Frozen { vcpu: id, state });
                return None;
            }
            Err(not_left) => not_left,
        };
        match error {
            VcpuError::AccessPending(_) | VcpuError::Busy(_) => {}
            VcpuError::PauseTimeout { .. } if timeouts < TRIES => {
                self.wishes().insert(id, (to, timeouts + 1));
                self.kick(id);
            }
            error => {
                tracing::warn!(%error, vcpu = %id, "a vCPU cannot leave");
                self.unwish(id);
                self.handle_own(Input::NotFrozen { vcpu: id });
            }
        }
        Some(vcpu)
    }

    fn kick(&self, vcpu: VcpuId) {
        // It may have left by itself, at an exit that came first.
        if let Some(host) = self.host() {
            host.kick(vcpu).ok();
        }
    }

    fn unwish(&self, vcpu: VcpuId) {
        self.wishes().remove(&vcpu);
        self.wanted[vcpu.index()].store(false, Ordering::Release);
    }

    /// Takes up something that this node did, which the residence never refuses.
    fn handle_own(&self, input: Input) {
        if let Err(error) = self.handle(input) {
            tracing::error!(%error, "a move took a step that no one asked for");
        }
    }

    fn handle(&self, input: Input) -> Result<(), ResidenceError> {
        let mut residence = self.residence();
        let commands = residence.handle(input)?;
        let mut rest = Vec::new();
        for command in commands {
            match command {
                // Under the lock: peers hear things in the order in which they were decided.
                Command::Send { to, message } => self.carrier.send(to, message),
                other => rest.push(other),
            }
        }
        drop(residence);
        for command in rest {
            self.carry_out(command);
        }
        Ok(())
    }

    fn carry_out(&self, command: Command) {
        match command {
            Command::Send { to, message } => self.carrier.send(to, message),
            Command::Freeze { vcpu, to } => {
                self.wishes().insert(vcpu, (to, 0));
                self.wanted[vcpu.index()].store(true, Ordering::Release);
                self.kick(vcpu);
            }
            Command::Load { vcpu, state } => {
                let loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
                // It would have to wait for its turn to hasten itself.
                self.loader.hasten();
                // The thread ends only when this mover does.
                loads.send(Load { vcpu, state }).ok();
            }
            Command::Run { vcpu } => {
                let vcpu = self.loaded().remove(&vcpu);
                // It was loaded: else nobody would have asked to run it.
                vcpu.into_iter().for_each(|vcpu| self.carrier.run(vcpu));
            }
            Command::Deliver { vcpu, interrupt } => {
                if let Some(host) = self.host()
                    && let Err(error) = host.inject(vcpu, interrupt)
                {
                    self.carrier.failed(vcpu, error);
                }
            }
            Command::Relocate { vcpu, to } => {
                self.carrier.relocated(vcpu, to);
                // It may have come here meanwhile.
                if let Some(host) = self.host()
                    && let Err(error) = host.relocate(vcpu, to)
                {
                    tracing::debug!(%error, %vcpu, "old news of a vCPU");
                }
            }
            Command::Ended { vcpu, to, outcome } => self.carrier.ended(vcpu, to, outcome),
            Command::Broken { vcpu } => {
                let error = VcpuError::HostLacks("the vCPU that it has given up");
                self.carrier.failed(vcpu, error);
            }
        }
    }

    fn load(&self, Load { vcpu, state }: Load) {
        let Some(host) = self.host() else { return };
        let _haste = Haste::begin();
        let offset = self.carrier.tsc_offset(state.counter());
        let mut adopted = host.adopt(vcpu, &state, offset);
        let local = host.layout().node();
        let returns = self.place(vcpu).is_some_and(|place| place.node == local);
        let tries = if returns { TRIES_TO_RETURN } else { TRIES };
        for _ in 1..tries {
            if !matches!(adopted, Err(VcpuError::PauseTimeout { .. })) {
                break;
            }
            adopted = host.adopt(vcpu, &state, offset);
        }
        match adopted {
            Ok(loaded) => {
                self.loaded().insert(vcpu, loaded);
                self.handle_own(Input::Loaded { vcpu });
            }
            Err(error) => {
                tracing::warn!(%error, %vcpu, "a vCPU cannot come");
                self.handle_own(Input::NotLoaded { vcpu });
            }
        }
    }

    fn host(&self) -> Option<Arc<dyn VcpuHost>> {
        self.host.get()?.upgrade()
    }

    fn residence(&self) -> MutexGuard<'_, Residence> {
        // It is changed at the end of its own steps only.
        self.residence
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn wishes(&self) -> MutexGuard<'_, BTreeMap<VcpuId, (NodeId, u32)>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loaded(&self) -> MutexGuard<'_, BTreeMap<VcpuId, Box<dyn Vcpu>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InterruptSink for Mover {
    fn forward(&self, vcpu: VcpuId, interrupt: Interrupt) {
        self.handle_own(Input::Interrupt { vcpu, interrupt });
    }

    fn failed(&self, vcpu: VcpuId, error: VcpuError) {
        self.carrier.failed(vcpu, error);
    }
}

impl fmt::Debug for Mover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mover").finish_non_exhaustive()
    }
}

fn load_for_ever(mover: &Weak<Mover>, own: &Living, queue: &Receiver<Load>) {
    let _life = own.begin();
    while let Ok(load) = queue.recv() {
        let Some(mover) = mover.upgrade() else { return };
        mover.load(load);
        // Who handed it over hastened this thread.
        haste::calm();
    }
}
