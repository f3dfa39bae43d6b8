//! Keeps this node's guest time in step with the first node's, whose clock is guest time.
//!
//! Two things are steered. The guest clock, in nanoseconds, serves the clock device and thread
//! vCPUs. The time-stamp counters of KVM vCPUs get an offset ([`CounterOffset`]): before the guest runs,
//! such that they read what the first node's do, as far as that can be known; then, whenever this node
//! hears of a counter ahead of its own, such that it is not behind. All vCPUs of the node step at once.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use giantvm_core::NodeId;
use giantvm_vcpu::VcpuHost;
use giantvm_vcpu::clock::{CounterOffset, GuestClock, Nanos, OffsetEstimator, Probe, Reply};
use giantvm_vcpu::message::Message;

use crate::tsc;
use crate::wiring::Outlet;

/// The node whose clock is guest time.
const REFERENCE: NodeId = NodeId::ZERO;
/// Answers that a node wants before it runs a guest.
const ANSWERS: u32 = 32;
/// How often it is looked whether to ask, before that and after.
const FIRST_PERIOD: Duration = Duration::from_millis(2);
const PERIOD: Duration = Duration::from_millis(100);
/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long vCPUs may take to stop for a step. One that does not waits for a page, and steps before it
/// executes anything.
const PAUSE: Duration = Duration::from_millis(20);

/// One node's keeper of guest time.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    outlet: Outlet,
    clock: Arc<GuestClock>,
    state: Mutex<State>,
    changed: Condvar,
    /// What the guest's time-stamp counters are ahead of this host's, in cycles.
    tsc_offset: AtomicI64,
    /// Whose vCPUs step.
    host: OnceLock<Arc<dyn VcpuHost>>,
    /// Held for a step: two at once would end one another's pauses.
    stepping: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    estimator: OffsetEstimator,
    answers: u32,
    /// The same for the time-stamp counters of the nodes before this one, in cycles for nanoseconds.
    /// Each two nodes so hear of one another, as the later one asks and the other answers.
    tsc_estimators: BTreeMap<NodeId, OffsetEstimator>,
    tsc_answers: u32,
    /// What the guest's counters are to be ahead.
    counter: CounterOffset,
}

impl Timekeeper {
    pub(crate) fn new(outlet: Outlet) -> Self {
        let before = NodeId::first(outlet.local().index());
        let state = State {
            tsc_estimators: before.map(|node| (node, OffsetEstimator::new())).collect(),
            ..State::default()
        };
        Self {
            outlet,
            clock: Arc::default(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            tsc_offset: AtomicI64::new(0),
            host: OnceLock::new(),
            stepping: Mutex::default(),
        }
    }

    /// Whose vCPUs are to step from now on.
    pub(crate) fn attach(&self, host: Arc<dyn VcpuHost>) {
        self.host.set(host).ok();
    }

    /// The node's clock.
    pub(crate) fn clock(&self) -> Arc<GuestClock> {
        self.clock.clone()
    }

    /// Starts to ask other nodes for the time, for as long as this keeper lives.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        let keeper = Arc::downgrade(self);
        std::thread::Builder::new()
            .name("timekeeper".into())
            .spawn(move || ask_for_ever(&keeper))
            .map(drop)
    }

    /// Waits until guest time is known here; the guest may run then.
    ///
    /// # Errors
    /// Says what did not come in time.
    pub(crate) fn wait_settled(&self) -> anyhow::Result<()> {
        if self.outlet.local() == REFERENCE {
            return Ok(());
        }
        let unsettled = |state: &mut State| state.answers.min(state.tsc_answers) < ANSWERS;
        let waited = self
            .changed
            .wait_timeout_while(self.locked(), PATIENCE, unsettled)
            .unwrap_or_else(PoisonError::into_inner);
        anyhow::ensure!(
            !waited.1.timed_out(),
            "node {REFERENCE} does not answer clock probes"
        );
        Ok(())
    }

    /// Answers another node's question about guest time.
    pub(crate) fn answer(&self, probe: Probe) -> Reply {
        self.clock.answer(probe)
    }

    /// Answers another node's question about the time-stamp counter, which was sent when the guest's was
    /// `guest` there: with this host's counter, and the guest's.
    pub(crate) fn answer_tsc(&self, guest: Nanos) -> Result<(Nanos, Nanos), String> {
        let now = Nanos(tsc::read());
        let mut state = self.locked();
        self.hear(&mut state, now, guest)?;
        Ok((now, self.stamp(&state, now)))
    }

    /// Learns from an answer of the first node.
    pub(crate) fn learn(&self, from: NodeId, reply: Reply) -> Result<(), String> {
        if from != REFERENCE {
            return Err(format!("node {from} was not asked for the time"));
        }
        let mut state = self.locked();
        match state.estimator.reply(self.clock.local(), reply) {
            Ok(estimate) => {
                state.answers = state.answers.saturating_add(1);
                self.clock.correct(&estimate);
                self.changed.notify_all();
            }
            // Late and repeated answers come with slow networks, not with bad peers.
            Err(refused) => tracing::debug!(%refused, "a clock reply was of no use"),
        }
        Ok(())
    }

    /// Learns from an answer about another node's time-stamp counter, which was sent when the guest's was
    /// `guest` there.
    pub(crate) fn learn_tsc(&self, from: NodeId, reply: Reply, guest: Nanos) -> Result<(), String> {
        let now = Nanos(tsc::read());
        let mut locked = self.locked();
        let state = &mut *locked;
        let settled = self.is_settled(state);
        let estimator = state.tsc_estimators.get_mut(&from);
        let estimator = estimator
            .ok_or_else(|| format!("node {from} was not asked for its time-stamp counter"))?;
        if let Err(refused) = estimator.reply(now, reply) {
            tracing::debug!(%refused, "a counter reply was of no use");
            return Ok(());
        }
        if !settled {
            // The reference runs no guest yet whose counter is not its host's; where it stepped, it
            // heard of a node that has settled before this one.
            if let (REFERENCE, Some(bounds)) = (from, estimator.bounds(now)) {
                let ahead = guest.0.wrapping_sub(reply.replied.0).cast_signed();
                state.counter.settle(bounds.moved(ahead));
                self.tsc_offset
                    .store(state.counter.offset(), Ordering::Relaxed);
                state.tsc_answers += 1;
                self.changed.notify_all();
            }
            return Ok(());
        }
        self.hear(state, now, guest)
    }

    /// Takes up that a message arrived at `now` that was sent when the guest's counter was `guest` at its
    /// sender. The step is made by the keeper's thread.
    fn hear(&self, state: &mut State, now: Nanos, guest: Nanos) -> Result<(), String> {
        if self.is_settled(state) {
            let stepped = state.counter.hear(now, guest);
            if stepped.map_err(|error| error.to_string())? {
                self.changed.notify_all();
            }
        }
        Ok(())
    }

    /// The guest's counter as others are to hear of it: zero, which is ahead of no one, before there is one.
    fn stamp(&self, state: &State, now: Nanos) -> Nanos {
        match self.is_settled(state) {
            true => state.counter.guest(now),
            false => Nanos(0),
        }
    }

    /// Whether the guest's counter is agreed upon, so that it can only go forward.
    fn is_settled(&self, state: &State) -> bool {
        self.outlet.local() == REFERENCE || state.tsc_answers >= ANSWERS
    }

    /// Lets all vCPUs step, if they have to: none executes with the new counter while another still has the
    /// old one.
    fn step(&self) {
        let stepping = self.stepping.lock();
        let _stepping = stepping.unwrap_or_else(PoisonError::into_inner);
        let wanted = self.locked().counter.offset();
        let Some(host) = self.host.get().filter(|_| wanted != self.tsc_offset()) else {
            return;
        };
        tracing::debug!(
            cycles = wanted - self.tsc_offset(),
            "the guest's counter steps"
        );
        if let Err(error) = host.pause(PAUSE) {
            tracing::debug!(%error, "vCPUs step when they have their pages");
        }
        self.tsc_offset.store(wanted, Ordering::Relaxed);
        for vcpu in host.layout().local() {
            if let Err(error) = host.kick(vcpu) {
                // It may have left just now.
                tracing::debug!(%error, %vcpu, "a vCPU does not step");
            }
        }
        host.resume();
    }

    /// A vCPU comes that has seen this counter: steps if this node is behind that.
    pub(crate) fn arrival(&self, seen: Nanos) {
        let heard = self.hear(&mut self.locked(), Nanos(tsc::read()), seen);
        if let Err(error) = heard {
            tracing::warn!(%error, "a vCPU comes with nonsense for a counter");
        }
        self.step();
    }

    /// What the guest's time-stamp counters have to be ahead of this host's, in cycles.
    pub(crate) fn tsc_offset(&self) -> i64 {
        self.tsc_offset.load(Ordering::Relaxed)
    }

    /// How far this node's guest time can be off, in microseconds; `None` on the first node.
    pub(crate) fn error_us(&self) -> Option<f64> {
        let estimate = self.locked().estimator.estimate(self.clock.local())?;
        Some(estimate.error as f64 / 1e3)
    }

    /// Asks what it is time to ask.
    fn ask(&self) {
        if self.outlet.local() == REFERENCE {
            return;
        }
        let now = self.clock.local();
        let mut state = self.locked();
        let clock = (state.estimator.due() <= now).then(|| state.estimator.probe(now));
        drop(state);
        if let Some(probe) = clock {
            self.outlet.vcpu(REFERENCE, &Message::ClockProbe(probe));
        }
        for node in NodeId::first(self.outlet.local().index()) {
            let mut state = self.locked();
            let cycles = Nanos(tsc::read());
            let stamp = self.stamp(&state, cycles);
            let estimator = state.tsc_estimators.get_mut(&node);
            let due = estimator.filter(|estimator| estimator.due() <= cycles);
            let probe = due.map(|estimator| estimator.probe(cycles));
            drop(state);
            if let Some(probe) = probe {
                self.outlet.tsc_probe(node, probe, stamp);
            }
        }
    }

    /// Waits until it is time to ask again, or there is a step to make.
    fn rest(&self) {
        let state = self.locked();
        let settled = self.is_settled(&state);
        let period = if settled { PERIOD } else { FIRST_PERIOD };
        // Before there are vCPUs there is nothing to step.
        let idle = |state: &mut State| {
            self.host.get().is_none() || state.counter.offset() == self.tsc_offset()
        };
        drop(self.changed.wait_timeout_while(state, period, idle));
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask_for_ever(keeper: &Weak<Timekeeper>) {
    while let Some(keeper) = keeper.upgrade() {
        keeper.ask();
        keeper.step();
        keeper.rest();
    }
}
