//! vCPUs that come to this node and leave it, and who wants that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use giantvm_core::{NodeId, VcpuId};
use giantvm_vcpu::clock::Nanos;
use giantvm_vcpu::message::Message as VcpuMessage;
use giantvm_vcpu::migration::{Carrier, Message, Mover, Outcome};
use giantvm_vcpu::{Vcpu, VcpuError};

use crate::move_order::{End, Order, Report};
use crate::timekeeper::Timekeeper;
use crate::vcpus::{self, Context};
use crate::wiring::Outlet;

/// Carries this node's vCPUs and what they say to one another.
#[derive(Debug)]
pub(crate) struct Moves {
    outlet: Outlet,
    timekeeper: Arc<Timekeeper>,
    /// What vCPU threads work with, once there is that.
    context: OnceLock<Context>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    sent: AtomicU64,
    /// Who ordered the moves that are under way here; at most one a vCPU.
    orders: Mutex<BTreeMap<VcpuId, NodeId>>,
    /// Who waits on this node for the end of an order; at most one a vCPU.
    waiting: Mutex<BTreeMap<VcpuId, SyncSender<End>>>,
}

impl Moves {
    pub(crate) fn new(outlet: Outlet, timekeeper: Arc<Timekeeper>) -> Self {
        Self {
            outlet,
            timekeeper,
            context: OnceLock::new(),
            threads: Mutex::default(),
            sent: AtomicU64::new(0),
            orders: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// What vCPUs are run with. Before this, none comes.
    pub(crate) fn attach(&self, context: Context) {
        self.context.set(context).ok();
    }

    /// Runs a vCPU, of which the life cycle knows.
    pub(crate) fn spawn(&self, context: &Context, vcpu: Box<dyn Vcpu>) -> std::io::Result<()> {
        let thread = vcpus::spawn(context.clone(), vcpu)?;
        let mut threads = locked(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// The threads that run vCPUs, or did until just now; for the end of the machine.
    pub(crate) fn threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *locked(&self.threads))
    }

    /// How many interrupts went to other nodes.
    pub(crate) fn interrupts_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Orders a move from whichever node has the vCPU. `None` if an earlier order has not ended; else the
    /// end is told once.
    pub(crate) fn order(&self, mover: &Mover, order: Order) -> Option<Receiver<End>> {
        let (tell, end) = sync_channel(1);
        let mut waiting = locked(&self.waiting);
        if waiting.contains_key(&order.vcpu) {
            return None;
        }
        waiting.insert(order.vcpu, tell);
        drop(waiting);
        match mover.place(order.vcpu) {
            Some(place) if place.node != self.outlet.local() => {
                self.outlet.order(place.node, order);
            }
            _ => self.ordered(mover, self.outlet.local(), order),
        }
        Some(end)
    }

    /// Whoever waited for the end of an order waits no longer.
    pub(crate) fn forget(&self, vcpu: VcpuId) {
        locked(&self.waiting).remove(&vcpu);
    }

    /// Begins a move that `from` wants.
    pub(crate) fn ordered(&self, mover: &Mover, from: NodeId, order: Order) {
        let Order { vcpu, to } = order;
        let mut orders = locked(&self.orders);
        if orders.contains_key(&vcpu) {
            drop(orders);
            return self.tell(from, vcpu, End::Unbegun);
        }
        orders.insert(vcpu, from);
        drop(orders);
        if let Err(error) = mover.begin(vcpu, to) {
            tracing::info!(%error, "a vCPU is not moved");
            self.end(vcpu, End::Unbegun);
        }
    }

    /// Takes another node's word for the end of an order.
    pub(crate) fn reported(&self, report: Report) {
        let Report { vcpu, end } = report;
        // Whoever waited may have given up.
        if let Some(waits) = locked(&self.waiting).remove(&vcpu) {
            waits.try_send(end).ok();
        }
    }

    fn end(&self, vcpu: VcpuId, end: End) {
        if let Some(from) = locked(&self.orders).remove(&vcpu) {
            self.tell(from, vcpu, end);
        }
    }

    fn tell(&self, whom: NodeId, vcpu: VcpuId, end: End) {
        let report = Report { vcpu, end };
        if whom == self.outlet.local() {
            self.reported(report);
        } else {
            self.outlet.moved(whom, report);
        }
    }

    fn fail(&self) {
        if let Some(context) = self.context.get() {
            context.lifecycle.fail();
        }
    }
}

impl Carrier for Moves {
    fn send(&self, to: NodeId, message: Message) {
        if matches!(message, Message::Interrupt { .. }) {
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        self.outlet.vcpu(to, &VcpuMessage::Vcpu(message));
    }

    fn run(&self, vcpu: Box<dyn Vcpu>) {
        let id = vcpu.id();
        let Some(context) = self
            .context
            .get()
            .filter(|context| context.lifecycle.vcpu_arrived())
        else {
            return;
        };
        tracing::info!(vcpu = %id, "a vCPU has come");
        if let Err(error) = self.spawn(context, vcpu) {
            eprintln!("aggregate: vCPU {id}, which came here, gets no thread: {error}");
            context.lifecycle.vcpu_ended();
            context.lifecycle.fail();
        }
    }

    fn tsc_offset(&self, seen: Option<u64>) -> i64 {
        self.timekeeper.arrival(Nanos(seen.unwrap_or(0)));
        self.timekeeper.tsc_offset()
    }

    fn relocated(&self, vcpu: VcpuId, to: NodeId) {
        if let Some(context) = self.context.get() {
            context.bus.admit(vcpu, to);
        }
    }

    fn ended(&self, vcpu: VcpuId, _: NodeId, outcome: Outcome) {
        self.end(vcpu, End::Tried(outcome));
    }

    fn failed(&self, vcpu: VcpuId, error: VcpuError) {
        eprintln!("aggregate: vCPU {vcpu} is cut off: {error}");
        self.fail();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holder leaves what it guards as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
