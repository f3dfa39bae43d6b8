//! Tells vCPUs which thread to run: a dispatcher behind a lock.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use giantvm_core::VcpuId;
use giantvm_guest::threads::word::{self, Kind, OVER};
use giantvm_sched::dispatch::{Dispatcher, Go, Report};
use giantvm_sched::schedule::{Machine, Nanos, Scheduler};

/// How often vCPUs without a thread look for one.
const TICK: Duration = Duration::from_millis(1);

pub(crate) struct Carriers {
    start: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    dispatcher: Dispatcher,
    /// What vCPUs were told and have not read.
    told: Vec<Option<u64>>,
    said: Vec<Go>,
}

impl Carriers {
    pub(crate) fn new(machine: &Machine, scheduler: Box<dyn Scheduler + Send>) -> Self {
        Self {
            start: Instant::now(),
            state: Mutex::new(State {
                dispatcher: Dispatcher::new(scheduler, machine),
                told: vec![None; machine.vcpu_count()],
                said: Vec::new(),
            }),
            changed: Condvar::new(),
        }
    }

    /// How often threads went to another vCPU.
    pub(crate) fn moves(&self) -> u64 {
        self.state.lock().unwrap().dispatcher.moves().values().sum()
    }

    pub(crate) fn report(&self, vcpu: u32, offset: u64) -> u64 {
        let report = match word::decode(offset).expect("carriers say what there is") {
            (Kind::Idle, _) => Report::Idle,
            (Kind::Spawn, threads) => Report::Spawn(threads.into()),
            (Kind::Tick, _) => Report::Tick,
            (Kind::Meet, _) => Report::Meet,
            (Kind::Exit, _) => Report::Exit,
        };
        let vcpu = VcpuId::try_from(vcpu as usize).unwrap();
        let mut state = self.state.lock().unwrap();
        let State {
            dispatcher, said, ..
        } = &mut *state;
        dispatcher.report(self.now(), vcpu, report, said).unwrap();
        state.tell();
        self.changed.notify_all();
        loop {
            if let Some(told) = state.told[vcpu.index()].take() {
                return told;
            }
            let (woken, timeout) = self.changed.wait_timeout(state, TICK).unwrap();
            state = woken;
            if timeout.timed_out() {
                let State {
                    dispatcher, said, ..
                } = &mut *state;
                dispatcher.tick(self.now(), said).unwrap();
                state.tell();
                self.changed.notify_all();
            }
        }
    }

    fn now(&self) -> Nanos {
        self.start.elapsed().into()
    }
}

impl State {
    fn tell(&mut self) {
        for Go { vcpu, thread } in self.said.drain(..) {
            let told = &mut self.told[vcpu.index()];
            assert_eq!(*told, None, "vCPU {vcpu} was told twice");
            *told = Some(thread.map_or(OVER, |thread| thread.0.into()));
        }
    }
}
