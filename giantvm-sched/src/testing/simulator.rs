//! The simulation: one access after the other, in the order of virtual time.

use std::collections::BTreeMap;

use giantvm_core::{NodeId, PageIndex, VcpuId};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::memory::Memory;
use super::thread::Runner;
use super::{Outcome, Workload};
use crate::schedule::{
    Decision, Event, Faults, GroupSize, Machine, Nanos, PageGroup, Scheduler, ThreadId,
};

/// The time between a vCPU's ticks: Linux' usual 250 a second.
const TICK: u64 = 4_000_000;
/// How often schedulers are told of faults.
const REPORT: u64 = 10_000_000;
/// What a move to another node takes besides the pages.
const MOVE: u64 = 50_000;

/// Runs a workload for `span` of virtual time. The same arguments lead to the same outcome.
///
/// ```
/// use giantvm_sched::das::{Das, Parameters};
/// use giantvm_sched::schedule::{Machine, Nanos};
/// use giantvm_sched::testing::{Workload, simulate};
///
/// let machine = Machine::new(&[2, 2])?;
/// let mut das = Das::new(machine.clone(), Parameters::default());
/// let teams = Workload::sharing(2, 2, 20, 1);
/// let outcome = simulate(&machine, &teams, &mut das, Nanos(2_000_000_000));
/// assert_eq!(outcome.late_faults, 0, "each team is on one node");
/// # Ok::<(), giantvm_sched::schedule::MachineError>(())
/// ```
pub fn simulate(
    machine: &Machine,
    workload: &Workload,
    scheduler: &mut dyn Scheduler,
    span: Nanos,
) -> Outcome {
    let mut simulation = Simulation::new(machine, workload, scheduler, span);
    simulation.run();
    simulation.outcome
}

#[derive(Debug, Clone, Copy)]
struct Lane {
    running: Option<ThreadId>,
    /// When it does the next thing.
    at: u64,
    tick: u64,
    /// What its thread computed, and no one was told of.
    computed: u64,
}

#[derive(Debug, Default)]
struct Waits {
    reads: u32,
    writes: u32,
    stall: u64,
}

struct Simulation<'a> {
    machine: &'a Machine,
    scheduler: &'a mut dyn Scheduler,
    rng: SmallRng,
    memory: Memory,
    lanes: Vec<Lane>,
    threads: Vec<Runner>,
    waits: BTreeMap<(ThreadId, PageGroup), Waits>,
    /// Threads of each team that wait at its barrier.
    arrived: BTreeMap<u64, Vec<ThreadId>>,
    span: u64,
    outcome: Outcome,
}

impl<'a> Simulation<'a> {
    fn new(
        machine: &'a Machine,
        workload: &Workload,
        scheduler: &'a mut dyn Scheduler,
        span: Nanos,
    ) -> Self {
        let lane = |vcpu: VcpuId| Lane {
            running: None,
            at: 0,
            // Not all at once, as timers are.
            tick: TICK + TICK * u64::from(vcpu.get()) / machine.vcpu_count() as u64,
            computed: 0,
        };
        Self {
            machine,
            scheduler,
            rng: SmallRng::seed_from_u64(7),
            memory: Memory::new(NodeId::ZERO),
            lanes: machine.vcpus().map(lane).collect(),
            threads: workload.threads.iter().cloned().map(Runner::new).collect(),
            waits: BTreeMap::new(),
            arrived: BTreeMap::new(),
            span: span.0,
            outcome: Outcome {
                done: vec![0; workload.threads.len()],
                ..Outcome::default()
            },
        }
    }

    fn run(&mut self) {
        for thread in (0..).map(ThreadId).take(self.threads.len()) {
            let by = VcpuId::BOOT;
            self.tell(0, Event::Spawn { thread, by });
        }
        let mut report = REPORT;
        loop {
            let lanes = self.machine.vcpus().zip(&self.lanes);
            let next = lanes.min_by_key(|(_, lane)| lane.at);
            let Some((vcpu, &lane)) = next.filter(|(_, lane)| lane.at < self.span) else {
                break;
            };
            if report <= lane.at {
                self.report(report);
                report += REPORT;
            } else if lane.tick <= lane.at {
                self.lanes[vcpu.index()].tick += TICK;
                self.ran(lane.at, vcpu);
                self.tell(lane.at, Event::Tick { vcpu });
            } else if let Some(thread) = lane.running {
                self.step(vcpu, thread, lane.at);
            } else {
                self.lanes[vcpu.index()].at = lane.tick;
            }
        }
    }

    /// The thread on a vCPU does one thing.
    fn step(&mut self, vcpu: VcpuId, thread: ThreadId, now: u64) {
        let runner = &mut self.threads[thread.0 as usize];
        if runner.ready_at.0 > now {
            self.lanes[vcpu.index()].at = runner.ready_at.0;
            return;
        }
        if let Some(team) = runner.arrives.take() {
            self.arrive(now, vcpu, thread, team);
            return;
        }
        let access = runner.next(&mut self.rng);
        let node = self.machine.node_of(vcpu).unwrap_or(NodeId::ZERO);
        let waits = self
            .memory
            .access(self.machine, node, access.page, access.writes);
        let end = now + access.computes.0 + waits.map_or(0, |waits| waits.0);
        self.threads[thread.0 as usize].ready_at = Nanos(end);
        let lane = &mut self.lanes[vcpu.index()];
        lane.at = end;
        lane.computed += access.computes.0;
        self.outcome.all_done += 1;
        if self.is_late(now) {
            self.outcome.done[thread.0 as usize] += 1;
        }
        if let Some(waits) = waits {
            self.count(now, thread, access.page, access.writes, waits);
        }
    }

    fn count(&mut self, now: u64, thread: ThreadId, page: PageIndex, writes: bool, stall: Nanos) {
        self.outcome.faults += 1;
        self.outcome.late_faults += u64::from(self.is_late(now));
        self.outcome.stall.0 += stall.0;
        let group = PageGroup::of(page, GroupSize::DEFAULT);
        let waits = self.waits.entry((thread, group)).or_default();
        waits.reads += u32::from(!writes);
        waits.writes += u32::from(writes);
        waits.stall += stall.0;
    }

    /// The last of a team at its barrier wakes all others.
    fn arrive(&mut self, now: u64, vcpu: VcpuId, thread: ThreadId, team: u64) {
        let members = self.threads.iter().filter_map(|of| of.spec.barrier);
        let members = members.filter(|barrier| barrier.team == team).count();
        let waiting = self.arrived.entry(team).or_default();
        if waiting.len() + 1 < members {
            waiting.push(thread);
            self.ran(now, vcpu);
            self.tell(now, Event::Block { thread });
            return;
        }
        for thread in std::mem::take(waiting) {
            let by = Some(vcpu);
            self.tell(now, Event::Wake { thread, by });
        }
    }

    fn ran(&mut self, now: u64, vcpu: VcpuId) {
        let lane = &mut self.lanes[vcpu.index()];
        if lane.running.is_some() {
            let cpu = Nanos(std::mem::take(&mut lane.computed));
            self.tell(now, Event::Ran { vcpu, cpu });
        }
    }

    fn report(&mut self, now: u64) {
        for ((thread, group), waits) in std::mem::take(&mut self.waits) {
            let home = self.memory.home(group);
            let faults = Faults {
                thread,
                group,
                reads: waits.reads,
                writes: waits.writes,
                stall: Nanos(waits.stall),
                home,
            };
            self.tell(now, Event::Faults(faults));
        }
    }

    fn tell(&mut self, now: u64, event: Event) {
        let mut out = Vec::new();
        if self.scheduler.handle(Nanos(now), event, &mut out).is_err() {
            self.outcome.refused += 1;
        }
        for decision in out {
            match decision {
                Decision::Run { vcpu, thread } => {
                    let lane = &mut self.lanes[vcpu.index()];
                    if lane.running.is_none() {
                        lane.at = now;
                    }
                    lane.running = thread;
                    lane.computed = 0;
                }
                Decision::Migrate { thread, from, to } => {
                    if self.machine.node_of(from) != self.machine.node_of(to) {
                        self.outcome.moves += 1;
                        self.outcome.late_moves += u64::from(self.is_late(now));
                        let ready = &mut self.threads[thread.0 as usize].ready_at;
                        ready.0 = ready.0.max(now) + MOVE;
                    }
                }
                Decision::Rehome { group, to } => {
                    self.outcome.rehomed += 1;
                    self.memory.rehome(group, to);
                }
            }
        }
    }

    const fn is_late(&self, now: u64) -> bool {
        now >= self.span / 2
    }
}
