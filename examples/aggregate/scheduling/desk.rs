//! Where vCPUs of one node say what their threads came to, and wait for the next.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use giantvm_core::{NodeId, VcpuId};
use giantvm_dsm::engine::{FaultWatcher, Refusal, ServedFault};
use giantvm_dsm::protocol::HomeMap;
use giantvm_guest::abi;
use giantvm_guest::threads::word::{self, OVER};
use giantvm_sched::schedule::{GroupSize, Machine, Nanos, PageGroup, ThreadId};
use rustix::time::{ClockId, clock_gettime};

use super::conductor::{Conductor, Heard};
use super::tally::Tally;
use super::{Letter, SchedulerKind};
use crate::lifecycle::LifecycleDriver;
use crate::wiring::Outlet;

/// The node whose desk has the conductor.
const FIRST: NodeId = NodeId::ZERO;
/// How often vCPUs without a thread look for one: the tick of a Linux with 250 Hz.
const TICK: Duration = Duration::from_millis(4);
/// How often the conductor hears of faults: some times in a period of its plans.
const TELL: Duration = Duration::from_millis(20);
/// A vCPU that runs no thread.
const NONE: u32 = u32::MAX;

/// One for each node.
#[derive(Debug)]
pub(crate) struct Desk {
    outlet: Outlet,
    machine: Machine,
    homes: HomeMap,
    seats: Vec<Seat>,
    conductor: Option<Conductor>,
    lifecycle: Arc<LifecycleDriver>,
    closed: AtomicBool,
    tally: Mutex<Told>,
}

/// A vCPU's place; those of other nodes stay empty.
#[derive(Debug)]
struct Seat {
    told: Mutex<Option<u64>>,
    changed: Condvar,
    /// The system's number of the thread that runs the vCPU, once it said something.
    runner: OnceLock<u32>,
    /// The guest's thread that it runs.
    thread: AtomicU32,
    /// Processor time in ns that its runner had used when that was told to run the thread.
    used: AtomicU64,
}

#[derive(Debug)]
struct Told {
    tally: Tally,
    at: Instant,
}

impl Seat {
    /// Waits for a word, however long it takes, or until `closed`.
    ///
    /// It sleeps at once: where processors are few, looking on keeps them from those who bring the word.
    fn wait(&self, closed: &AtomicBool) -> u64 {
        let mut told = lock(&self.told);
        loop {
            if closed.load(Relaxed) {
                return OVER;
            }
            if let Some(value) = told.take() {
                return value;
            }
            let woken = self.changed.wait(told);
            told = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Desk {
    /// The desk of a node of `machine`, whose pages have these homes.
    pub(crate) fn new(
        kind: SchedulerKind,
        machine: Machine,
        homes: HomeMap,
        outlet: Outlet,
        lifecycle: Arc<LifecycleDriver>,
    ) -> Self {
        let seat = || Seat {
            told: Mutex::default(),
            changed: Condvar::new(),
            runner: OnceLock::new(),
            thread: AtomicU32::new(NONE),
            used: AtomicU64::new(0),
        };
        let conducts = outlet.local() == FIRST;
        Self {
            seats: machine.vcpus().map(|_| seat()).collect(),
            conductor: conducts.then(|| Conductor::new(kind, machine.clone())),
            outlet,
            machine,
            homes,
            lifecycle,
            closed: AtomicBool::new(false),
            tally: Mutex::new(Told {
                tally: Tally::default(),
                at: Instant::now(),
            }),
        }
    }

    /// Starts the timer, if this is the desk that has the conductor.
    pub(crate) fn start(self: &Arc<Self>) -> std::io::Result<()> {
        if self.conductor.is_none() {
            return Ok(());
        }
        let desk = Arc::downgrade(self);
        let tick = move || {
            while let Some(desk) = Weak::upgrade(&desk).filter(|desk| !desk.closed.load(Relaxed)) {
                desk.conduct(Heard::Tick);
                drop(desk);
                std::thread::sleep(TICK);
            }
        };
        let thread = std::thread::Builder::new().name("threads-tick".into());
        thread.spawn(tick).map(drop)
    }

    /// The offset of an address among the registers by which vCPUs report; `None` if it is not there.
    pub(crate) fn offset(address: u64) -> Option<u16> {
        let offset = address.checked_sub(abi::MMIO_THREADS);
        let offset = offset.filter(|&offset| offset < word::BYTES);
        offset.and_then(|offset| u16::try_from(offset).ok())
    }

    /// A local vCPU reads at an offset, on its own thread: waits for what it is told.
    pub(crate) fn report(&self, vcpu: VcpuId, offset: u16) -> u64 {
        let Some(seat) = self.seats.get(vcpu.index()) else {
            return OVER;
        };
        seat.runner.get_or_init(|| {
            u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap_or(0)
        });
        seat.thread.store(NONE, Relaxed);
        self.tell_faults();
        let cpu = Nanos(used().saturating_sub(seat.used.load(Relaxed)));
        self.hand_on(Heard::Report(vcpu, offset, cpu));
        let value = seat.wait(&self.closed);
        seat.used.store(used(), Relaxed);
        let thread = u32::try_from(value).unwrap_or(NONE);
        seat.thread.store(thread, Relaxed);
        value
    }

    /// Takes a letter of another node.
    ///
    /// # Errors
    /// A text if that node has no business to say so.
    pub(crate) fn receive(&self, from: NodeId, letter: Letter) -> Result<(), Refusal> {
        let conducts = self.conductor.is_some();
        let of = |vcpu| self.machine.node_of(vcpu);
        match letter {
            Letter::Report { vcpu, offset, cpu } if conducts && of(vcpu) == Some(from) => {
                self.conduct(Heard::Report(vcpu, offset, cpu));
                Ok(())
            }
            Letter::Faults(all) if conducts => {
                self.conduct(Heard::Faults(all));
                Ok(())
            }
            Letter::Go { vcpu, value }
                if from == FIRST && of(vcpu) == Some(self.outlet.local()) =>
            {
                self.go(vcpu, value);
                Ok(())
            }
            letter => Err(format!("node {from} has not to say {letter:?}").into()),
        }
    }

    /// Lets all vCPUs go: the machine ends.
    pub(crate) fn close(&self) {
        self.closed.store(true, Relaxed);
        for seat in &self.seats {
            // Nobody is between looking and waiting.
            drop(lock(&seat.told));
            seat.changed.notify_all();
        }
    }

    /// The conductor, on the node that has it.
    pub(crate) const fn conductor(&self) -> Option<&Conductor> {
        self.conductor.as_ref()
    }

    /// Gives a word to the conductor, wherever it is.
    fn hand_on(&self, heard: Heard) {
        if self.conductor.is_some() {
            return self.conduct(heard);
        }
        match heard {
            Heard::Report(vcpu, offset, cpu) => {
                let report = Letter::Report { vcpu, offset, cpu };
                self.outlet.threads(FIRST, &report);
            }
            Heard::Faults(all) => self.outlet.threads(FIRST, &Letter::Faults(all)),
            Heard::Tick => {}
        }
    }

    fn conduct(&self, heard: Heard) {
        let Some(conductor) = &self.conductor else {
            return;
        };
        let local = self.outlet.local();
        let tell = |vcpu, value| match self.machine.node_of(vcpu) {
            Some(node) if node != local => {
                self.outlet.threads(node, &Letter::Go { vcpu, value });
            }
            _ => self.go(vcpu, value),
        };
        if let Err(error) = conductor.hear(heard, tell) {
            eprintln!("aggregate: threads cannot be scheduled any more: {error}");
            self.lifecycle.fail();
        }
    }

    fn go(&self, vcpu: VcpuId, value: u64) {
        if let Some(seat) = self.seats.get(vcpu.index()) {
            *lock(&seat.told) = Some(value);
            seat.changed.notify_one();
        }
    }

    /// Tells the conductor who waited for what, if it is time.
    fn tell_faults(&self) {
        let all = {
            let mut told = lock(&self.tally);
            if told.at.elapsed() < TELL {
                return;
            }
            told.at = Instant::now();
            told.tally.take()
        };
        if !all.is_empty() {
            self.hand_on(Heard::Faults(all));
        }
    }
}

impl FaultWatcher for Desk {
    fn served(&self, fault: &ServedFault) {
        let ran = |seat: &&Seat| seat.runner.get() == Some(&fault.thread);
        let Some(seat) = self.seats.iter().find(ran) else {
            return;
        };
        let thread = seat.thread.load(Relaxed);
        if thread == NONE {
            return;
        }
        let group = PageGroup::of(fault.page, GroupSize::DEFAULT);
        let home = self.homes.home(fault.page).unwrap_or(FIRST);
        let mut told = lock(&self.tally);
        let thread = ThreadId(thread);
        told.tally
            .count(thread, group, fault.kind, fault.stall, home);
    }
}

/// Processor time that the calling thread has used, in ns.
fn used() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000_000 + nanos.unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
