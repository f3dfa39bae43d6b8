//! Keeps this node's guest time in step with the first node's, whose clock is guest time.
//!
//! Two things are steered. The guest clock, in nanoseconds, serves the clock device and thread
//! vCPUs. The time-stamp counters of KVM vCPUs get an offset such that they all read what the first
//! node's do; where the counters agree already, as on one host, they are left alone, because a
//! correction that is smaller than its own uncertainty makes nothing better.

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use giantvm_core::NodeId;
use giantvm_vcpu::clock::{Estimate, GuestClock, Nanos, OffsetEstimator, Probe, Reply};
use giantvm_vcpu::message::Message;

use crate::tsc;
use crate::wiring::Outlet;

/// The node whose clock is guest time.
const REFERENCE: NodeId = NodeId::ZERO;
/// Answers that a node wants before it runs a guest.
const ANSWERS: u32 = 8;
/// How often it is looked whether to ask, before that and after.
const FIRST_PERIOD: Duration = Duration::from_millis(2);
const PERIOD: Duration = Duration::from_millis(100);
/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One node's keeper of guest time.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    outlet: Outlet,
    clock: Arc<GuestClock>,
    state: Mutex<State>,
    changed: Condvar,
    /// What the guest's time-stamp counters have to be ahead of this host's, in cycles.
    tsc_offset: AtomicI64,
}

#[derive(Debug, Default)]
struct State {
    estimator: OffsetEstimator,
    answers: u32,
    /// The same for the time-stamp counters, in cycles for nanoseconds.
    tsc_estimator: OffsetEstimator,
    tsc_answers: u32,
}

impl Timekeeper {
    pub(crate) fn new(outlet: Outlet) -> Self {
        Self {
            outlet,
            clock: Arc::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
            tsc_offset: AtomicI64::new(0),
        }
    }

    /// The node's clock.
    pub(crate) fn clock(&self) -> Arc<GuestClock> {
        self.clock.clone()
    }

    /// Starts to ask the first node for the time, for as long as this keeper lives.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        if self.outlet.local() == REFERENCE {
            return Ok(());
        }
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

    /// Answers another node's question about the time-stamp counter.
    pub(crate) fn answer_tsc(probe: Probe) -> Reply {
        let now = Nanos(tsc::read());
        let (received, replied) = (now, now);
        Reply {
            probe,
            received,
            replied,
        }
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

    /// Learns from an answer about the first node's time-stamp counter.
    pub(crate) fn learn_tsc(&self, from: NodeId, reply: Reply) -> Result<(), String> {
        if from != REFERENCE {
            return Err(format!(
                "node {from} was not asked for its time-stamp counter"
            ));
        }
        let mut state = self.locked();
        match state.tsc_estimator.reply(Nanos(tsc::read()), reply) {
            Ok(estimate) => {
                state.tsc_answers = state.tsc_answers.saturating_add(1);
                self.steer_tsc(&estimate, state.tsc_answers <= ANSWERS);
                self.changed.notify_all();
            }
            Err(refused) => tracing::debug!(%refused, "a counter reply was of no use"),
        }
        Ok(())
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

    /// Before the guest runs a correction may go either way; later ones go forward only, for a
    /// counter that a guest has read never steps back.
    fn steer_tsc(&self, estimate: &Estimate, before_run: bool) {
        let ahead = estimate.offset.saturating_sub(self.tsc_offset());
        if ahead.unsigned_abs() > 2 * estimate.error && (before_run || ahead > 0) {
            self.tsc_offset.store(estimate.offset, Ordering::Relaxed);
        }
    }

    /// Asks what it is time to ask.
    fn ask(&self) {
        let (now, cycles) = (self.clock.local(), Nanos(tsc::read()));
        let mut state = self.locked();
        let clock = (state.estimator.due() <= now).then(|| state.estimator.probe(now));
        let tsc = (state.tsc_estimator.due() <= cycles).then(|| state.tsc_estimator.probe(cycles));
        drop(state);
        if let Some(probe) = clock {
            self.outlet.vcpu(REFERENCE, Message::ClockProbe(probe));
        }
        if let Some(probe) = tsc {
            self.outlet.tsc_probe(REFERENCE, probe);
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask_for_ever(keeper: &Weak<Timekeeper>) {
    while let Some(keeper) = keeper.upgrade() {
        keeper.ask();
        let settled = keeper.locked().tsc_answers >= ANSWERS;
        drop(keeper);
        std::thread::sleep(if settled { PERIOD } else { FIRST_PERIOD });
    }
}
