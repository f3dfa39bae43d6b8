//! One run: both machines work while what they are left changes.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::Scope;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use crate::cgroup::{HOSTS, Hosts};
use crate::conductor::Conductor;
use crate::load::{VCPUS, part, processor_time};
use crate::memory::Memory;
use crate::pace::{Next, Pace};
use crate::placement::{MACHINES, Placement};
use crate::plan::Plan;
use crate::schedule::{SLOT, Schedule};
use crate::seat::Seat;
use crate::vm;

/// How long a vCPU sleeps at most before it looks whether it is to go elsewhere, and how long it does
/// while it is stopped.
const NAP: Duration = Duration::from_millis(5);
const STOPPED: Duration = Duration::from_micros(200);

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    /// Steps that each machine did, and those that were asked of both.
    pub(crate) steps: [u64; MACHINES],
    pub(crate) asked: u64,
    /// Processor time of a step in the end, on average over all vCPUs, in microseconds.
    pub(crate) step_us: f64,
    pub(crate) moves: u64,
    /// On the links, both ways.
    pub(crate) mebibytes: f64,
    /// Processor time that the quotas allowed, and what was used of it, in seconds.
    pub(crate) allowed_s: f64,
    pub(crate) used_s: f64,
    /// How long machines stood still to be moved, all times added up.
    pub(crate) still_ms: f64,
    pub(crate) slots: Vec<Slot>,
}

/// One slot of the schedule.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Slot {
    /// Steps that each machine did.
    pub(crate) steps: [u64; MACHINES],
    /// vCPUs that are on, or go to, the first host.
    pub(crate) on_first: usize,
    /// Processor time that was used on each host, in seconds.
    pub(crate) used_s: [f64; HOSTS],
}

/// A machine, as those who move it see it.
pub(crate) struct Machine {
    pub(crate) memory: Memory,
    pub(crate) seats: [Seat; VCPUS],
}

/// Runs the plan under a placement, and checks all memory.
pub(crate) fn run(
    plan: &Plan,
    schedule: &Schedule,
    hosts: &Arc<Hosts>,
    placement: Placement,
) -> anyhow::Result<Run> {
    let machine = |home: usize| -> anyhow::Result<Machine> {
        let memory = match placement {
            Placement::Static | Placement::Reallocation => Memory::shared(plan, hosts, home),
            Placement::LiveMigration => Memory::sent(plan, hosts),
        }?;
        for vcpu in 0..VCPUS {
            vm::fill(part(memory.words(home), vcpu), plan.used);
        }
        let seats = [Seat::new(home), Seat::new(home)];
        Ok(Machine { memory, seats })
    };
    let machines = [machine(0)?, machine(1)?];
    let run = measure(plan, schedule, hosts, placement, &machines);
    // What is left to do is not a part of the experiment.
    let restored = hosts.restore();
    if run.is_err() {
        machines.iter().for_each(|machine| machine.memory.part());
    }
    let run = run?;
    restored?;
    for machine in machines {
        machine.memory.finish()?;
    }
    Ok(run)
}

fn measure(
    plan: &Plan,
    schedule: &Schedule,
    hosts: &Hosts,
    placement: Placement,
    machines: &[Machine; MACHINES],
) -> anyhow::Result<Run> {
    let length = SLOT * u32::try_from(schedule.slots().len())?;
    let mut conductor = Conductor::new(plan, schedule, hosts, placement, machines)?;
    let (used, bytes) = (hosts.used()?, bytes(machines));
    let start = Instant::now();
    let paces = std::thread::scope(|scope| {
        let workers = machines.each_ref().map(|machine| {
            [0, 1].map(|vcpu| {
                Worker {
                    plan,
                    hosts,
                    machine,
                    vcpu,
                }
                .start(scope, start, length)
            })
        });
        let conducted = conductor.conduct(scope, start);
        let mut paces = Vec::new();
        for worker in workers.into_iter().flatten() {
            paces.push(worker.join().map_err(|_| anyhow!("a vCPU panicked"))??);
        }
        conducted.map(|()| paces)
    })?;
    let steps = [0, 1].map(|machine| [0, 1].map(|vcpu| paces[machine * VCPUS + vcpu].done()));
    let used = hosts.used()?.saturating_sub(used);
    let bytes = self::bytes(machines) - bytes;
    hosts.restore()?;
    let mut parts: Vec<(&[AtomicU64], u64)> = Vec::new();
    for ((machine, steps), host) in machines
        .iter()
        .zip(steps)
        .zip(conductor.hosts_of_machines())
    {
        let words = machine.memory.words(host);
        parts.extend(
            steps
                .into_iter()
                .enumerate()
                .map(|(vcpu, steps)| (part(words, vcpu), steps)),
        );
    }
    let checked = plan.load.check(plan.size, plan.used, &parts);
    checked.with_context(|| format!("memory under {}", placement.name()))?;
    Ok(Run {
        steps: steps.map(|steps| steps.iter().sum()),
        asked: paces.iter().map(Pace::asked).sum(),
        step_us: paces.iter().map(Pace::cost_us).sum::<f64>() / paces.len() as f64,
        moves: conductor.moves,
        mebibytes: bytes as f64 / f64::from(1 << 20),
        allowed_s: conductor.allowed,
        used_s: used.as_secs_f64(),
        slots: conductor.slots,
        still_ms: conductor.still.as_secs_f64() * 1e3,
    })
}

fn bytes(machines: &[Machine; MACHINES]) -> u64 {
    machines.iter().map(|machine| machine.memory.bytes()).sum()
}

/// A vCPU, which is a thread.
struct Worker<'e> {
    plan: &'e Plan,
    hosts: &'e Hosts,
    machine: &'e Machine,
    vcpu: usize,
}

impl<'e> Worker<'e> {
    fn start<'s>(
        self,
        scope: &'s Scope<'s, 'e>,
        start: Instant,
        length: Duration,
    ) -> std::thread::ScopedJoinHandle<'s, anyhow::Result<Pace>> {
        scope.spawn(move || {
            let steps = self.work(start, length);
            // Nobody waits for one that is not there.
            self.machine.seats[self.vcpu].leave();
            steps
        })
    }

    /// Works wherever it is told to, until the time is over. Returns what came of it.
    fn work(&self, start: Instant, length: Duration) -> anyhow::Result<Pace> {
        let (plan, mut here) = (self.plan, None);
        let mut pace = Pace::new(f64::from(plan.wants) / 100.0, plan.cost);
        loop {
            let passed = start.elapsed();
            if passed >= length {
                return Ok(pace);
            }
            let Some(host) = self.machine.seats[self.vcpu].obey() else {
                std::thread::sleep(STOPPED);
                continue;
            };
            if here.replace(host) != Some(host) {
                self.hosts.hosts[host].enter()?;
            }
            match pace.next(passed) {
                Next::Step => {
                    let part = part(self.machine.memory.words(host), self.vcpu);
                    let before = processor_time()?;
                    plan.load.step(part, plan.size)?;
                    pace.did(processor_time()?.saturating_sub(before));
                    self.machine.seats[self.vcpu].did();
                }
                Next::Wait(time) => std::thread::sleep(time.min(NAP)),
            }
        }
    }
}
