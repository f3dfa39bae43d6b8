//! The one who decides, on the first node.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use giantvm_core::{NodeId, VcpuId};
use giantvm_guest::threads::word::{Kind, OVER, decode};
use giantvm_sched::dispatch::{Dispatcher, Go, Report, ReportError};
use giantvm_sched::schedule::{Event, Faults, Machine, Nanos};

use super::SchedulerKind;
use super::links::Links;
use super::summary::{Summary, Threads};

/// Most that waits to be heard: a word of every vCPU, and faults of every node, some times over.
const MOST_WAITING: usize = 4096;

/// Something that the conductor hears.
#[derive(Debug)]
pub(super) enum Heard {
    /// What a vCPU said, and the processor time that it used since it was told something.
    Report(VcpuId, u16, Nanos),
    /// What threads waited for.
    Faults(Vec<Faults>),
    /// It is time for vCPUs without a thread to look for one.
    Tick,
}

/// A machine whose vCPUs cannot be told any more what to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConductorError {
    #[error("vCPU {0} said what none does")]
    Word(VcpuId),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("too much is said about threads at once")]
    Crowd,
}

/// Has the scheduler. Whoever brings it something also does what is to be done, unless another thread is at
/// it, which then does it as well: nobody waits for anyone.
#[derive(Debug)]
pub(crate) struct Conductor {
    origin: Instant,
    machine: Machine,
    heard: Mutex<VecDeque<Heard>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    dispatcher: Dispatcher,
    threads: Threads,
    links: Links,
    said: Vec<Go>,
    reports: u64,
    changes: u64,
    busy: Duration,
    busy_with_faults: Duration,
}

impl Conductor {
    pub(super) fn new(kind: SchedulerKind, machine: Machine) -> Self {
        let state = State {
            dispatcher: Dispatcher::new(kind.start(&machine), &machine),
            threads: Threads::default(),
            links: Links::default(),
            said: Vec::new(),
            reports: 0,
            changes: 0,
            busy: Duration::ZERO,
            busy_with_faults: Duration::ZERO,
        };
        Self {
            origin: Instant::now(),
            machine,
            heard: Mutex::default(),
            state: Mutex::new(state),
        }
    }

    /// Hears something, and has `tell` tell vCPUs what they read.
    ///
    /// # Errors
    /// [`ConductorError`]: the machine has to stop.
    pub(super) fn hear(
        &self,
        heard: Heard,
        mut tell: impl FnMut(VcpuId, u64),
    ) -> Result<(), ConductorError> {
        {
            let mut waiting = self.waiting();
            if waiting.len() >= MOST_WAITING {
                return Err(ConductorError::Crowd);
            }
            waiting.push_back(heard);
        }
        loop {
            let mut state = match self.state.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(state)) => state.into_inner(),
                // Who has it looks again after it gave it back.
                Err(TryLockError::WouldBlock) => return Ok(()),
            };
            loop {
                let next = self.waiting().pop_front();
                let Some(next) = next else {
                    break;
                };
                self.handle(&mut state, next, &mut tell)?;
            }
            drop(state);
            if self.waiting().is_empty() {
                return Ok(());
            }
        }
    }

    fn handle(
        &self,
        state: &mut State,
        heard: Heard,
        tell: &mut impl FnMut(VcpuId, u64),
    ) -> Result<(), ConductorError> {
        let start = Instant::now();
        let now = start.saturating_duration_since(self.origin).into();
        let State {
            dispatcher, said, ..
        } = state;
        let about_faults = matches!(heard, Heard::Faults(_));
        match heard {
            Heard::Report(vcpu, offset, cpu) => {
                state.reports += 1;
                dispatcher.tell(now, Event::Ran { vcpu, cpu }, said)?;
                let report = report(offset).ok_or(ConductorError::Word(vcpu))?;
                dispatcher.report(now, vcpu, report, said)?;
            }
            Heard::Faults(all) => {
                for faults in all {
                    let on = state.threads.waited(&faults);
                    if let Some(link) = state.links.learn(on, &faults) {
                        dispatcher.tell(now, link, said)?;
                    }
                    dispatcher.tell(now, Event::Faults(faults), said)?;
                }
            }
            Heard::Tick => {
                state.reports += 1;
                dispatcher.tick(now, said)?;
            }
        }
        for Go { vcpu, thread } in state.said.drain(..) {
            if let Some(thread) = thread {
                let node = self.machine.node_of(vcpu).map_or(0, NodeId::get);
                state.changes += u64::from(state.threads.runs(thread, node));
            }
            tell(vcpu, thread.map_or(OVER, |thread| thread.0.into()));
        }
        let took = start.elapsed();
        state.busy += took;
        if about_faults {
            state.busy_with_faults += took;
        }
        Ok(())
    }

    /// What it did so far.
    pub(crate) fn summary(&self) -> Summary {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Summary {
            scheduler: state.dispatcher.name(),
            reports: state.reports,
            moves: state.dispatcher.moves().values().sum(),
            changes_of_node: state.changes,
            busy_ms: state.busy.as_secs_f64() * 1e3,
            faults_ms: state.busy_with_faults.as_secs_f64() * 1e3,
            threads: state.threads.all(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report(offset: u16) -> Option<Report> {
    let (kind, threads) = decode(offset.into())?;
    Some(match kind {
        Kind::Idle => Report::Idle,
        Kind::Spawn => Report::Spawn(threads.into()),
        Kind::Tick => Report::Tick,
        Kind::Meet => Report::Meet,
        Kind::Exit => Report::Exit,
    })
}
