//! DaS as a scheduler: the planner chooses nodes, run queues do the rest.

use std::collections::BTreeMap;

use giantvm_core::{NodeId, VcpuId};

use super::{Move, Parameters, Plan, Planner};
use crate::schedule::{
    Decision, Event, EventError, Machine, Nanos, RunQueues, SLICE, Scheduler, ThreadId,
};

/// The DSM-aware scheduler for threads.
///
/// Between plans a thread stays on its node: it is woken there, on an idle vCPU if there is one,
/// and idle vCPUs take work from others of their node. From other nodes they take only threads that
/// hardly wait for pages, as far as is known.
///
/// ```
/// use giantvm_core::VcpuId;
/// use giantvm_sched::das::{Das, Parameters};
/// use giantvm_sched::schedule::{Decision, Event, Machine, Nanos, Scheduler, ThreadId};
///
/// let mut das = Das::new(Machine::new(&[1, 1])?, Parameters::default());
/// let (mut out, thread, by) = (Vec::new(), ThreadId(1), VcpuId::BOOT);
/// das.handle(Nanos(0), Event::Spawn { thread, by }, &mut out)?;
/// assert_eq!(out, [Decision::Run { vcpu: by, thread: Some(thread) }]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Das {
    planner: Planner,
    queues: RunQueues,
    /// When each vCPU's turn began.
    turns: BTreeMap<VcpuId, Nanos>,
    /// Since when it is not known what became of a vCPU's time, and whose time that is.
    since: BTreeMap<VcpuId, (Nanos, ThreadId)>,
    last: Plan,
}

impl Das {
    /// A scheduler without threads.
    #[must_use]
    pub fn new(machine: Machine, params: Parameters) -> Self {
        Self {
            queues: RunQueues::new(&machine),
            planner: Planner::new(machine, params),
            turns: BTreeMap::new(),
            since: BTreeMap::new(),
            last: Plan::default(),
        }
    }

    /// The last plan that was made.
    #[must_use]
    pub const fn last_plan(&self) -> &Plan {
        &self.last
    }

    /// The node for a new thread: its maker's while a vCPU is idle there, or else the one with
    /// the fewest threads for its vCPUs.
    fn node_for_new(&self, by: VcpuId) -> Option<NodeId> {
        let machine = self.planner.machine();
        let own = machine.node_of(by)?;
        let is_idle = |node| {
            let idle = |vcpu| self.queues.load(vcpu) == 0;
            self.planner.has_room(node) && machine.vcpus_of(node).any(idle)
        };
        if is_idle(own) {
            return Some(own);
        }
        let open = machine.nodes().filter(|&node| self.planner.has_room(node));
        let crowd = |node| {
            let vcpus = machine.vcpus_of(node);
            let (count, load) = vcpus.fold((0, 0), |(count, load), vcpu| {
                (count + 1, load + self.queues.load(vcpu))
            });
            (count > 0).then(|| load * 1000 / count)
        };
        let crowds = open.filter_map(|node| Some((crowd(node)?, node)));
        crowds.min().map_or(Some(own), |(_, node)| Some(node))
    }

    fn tick(&mut self, now: Nanos, vcpu: VcpuId, out: &mut Vec<Decision>) {
        if self.planner.is_due(now) {
            self.last = self.planner.plan(now);
            self.carry_out(out);
        }
        let began = *self.turns.get(&vcpu).unwrap_or(&Nanos(0));
        if now.since(began) >= SLICE {
            self.turns.insert(vcpu, now);
            self.queues.rotate(vcpu, out);
        }
        self.fill(now, vcpu, out);
    }

    /// What became of the time that a vCPU's thread had it. What the thread did not compute in it, it lost.
    fn ran(&mut self, now: Nanos, vcpu: VcpuId, cpu: Nanos) {
        if let Some((since, thread)) = self.since.get_mut(&vcpu) {
            let held = now.since(std::mem::replace(since, now));
            // A thread that is done is of no interest.
            self.planner.ran(now, *thread, held, cpu).ok();
        }
    }

    /// Notes who begins to run where.
    fn note_turns(&mut self, now: Nanos, decided: &[Decision]) {
        for decision in decided {
            match *decision {
                Decision::Run {
                    vcpu,
                    thread: Some(thread),
                } => {
                    self.since.insert(vcpu, (now, thread));
                }
                Decision::Run { vcpu, thread: None } => {
                    self.since.remove(&vcpu);
                }
                Decision::Migrate { .. } | Decision::Rehome { .. } => {}
            }
        }
    }

    fn carry_out(&mut self, out: &mut Vec<Decision>) {
        for of in self.last.moves() {
            match of {
                Move::Thread { thread, to, .. } => {
                    let vcpu = self.queues.least_loaded(self.planner.machine(), to);
                    if let Some(vcpu) = vcpu {
                        self.queues.settle(thread, vcpu, out);
                    }
                }
                Move::Home { group, to, .. } => out.push(Decision::Rehome { group, to }),
            }
        }
    }

    /// Gives an idle vCPU something to run.
    fn fill(&mut self, now: Nanos, vcpu: VcpuId, out: &mut Vec<Decision>) {
        let machine = self.planner.machine();
        let Some(node) = machine
            .node_of(vcpu)
            .filter(|_| self.queues.load(vcpu) == 0)
        else {
            return;
        };
        let near = longest(&self.queues, machine.vcpus_of(node));
        let thread = near.and_then(|from| self.queues.ready(from).next());
        let thread = thread.or_else(|| {
            let from = longest(&self.queues, machine.vcpus())?;
            let free = |&thread: &ThreadId| !self.planner.is_bound(thread);
            let room = self.planner.has_room(node);
            self.queues.ready(from).find(free).filter(|_| room)
        });
        if let Some(thread) = thread {
            self.queues.migrate(thread, vcpu, out);
            // The thread and the node are known: both are taken from the books.
            self.planner.place(now, thread, node).ok();
        }
    }

    /// Does what an event asks for.
    fn take(
        &mut self,
        now: Nanos,
        event: Event,
        out: &mut Vec<Decision>,
    ) -> Result<(), EventError> {
        match event {
            Event::Spawn { thread, by } => {
                self.queues.check(by)?;
                self.queues.check_new(thread)?;
                let node = self.node_for_new(by).ok_or(EventError::Vcpu(by))?;
                let vcpu = self.queues.least_loaded(self.planner.machine(), node);
                self.planner.place(now, thread, node)?;
                self.queues.spawn(thread, vcpu.unwrap_or(by), out)?;
            }
            Event::Wake { thread, by } => {
                by.map_or(Ok(()), |by| self.queues.check(by))?;
                let last = self.queues.check_blocked(thread)?;
                let node = self.planner.node_of(thread);
                let best = node.and_then(|node| {
                    let least = self.queues.least_loaded(self.planner.machine(), node)?;
                    let is_idle = self.queues.load(last) == 0;
                    Some(if is_idle { last } else { least })
                });
                self.planner.set_runnable(now, thread, true)?;
                self.queues.wake(thread, best.unwrap_or(last), out)?;
            }
            Event::Block { thread } => {
                let vcpu = self.queues.block(thread, out)?;
                self.planner.set_runnable(now, thread, false)?;
                self.fill(now, vcpu, out);
            }
            Event::Exit { thread } => {
                let vcpu = self.queues.exit(thread, out)?;
                self.planner.forget(thread);
                self.fill(now, vcpu, out);
            }
            Event::Tick { vcpu } => {
                self.queues.check(vcpu)?;
                self.tick(now, vcpu, out);
            }
            Event::Idle { vcpu } => {
                self.queues.check(vcpu)?;
                self.fill(now, vcpu, out);
            }
            Event::Ran { vcpu, cpu } => {
                self.queues.check(vcpu)?;
                self.ran(now, vcpu, cpu);
            }
            Event::Faults(faults) => self.planner.observe(now, &faults)?,
            Event::Link { a, b, cost } => self.planner.set_link(a, b, cost)?,
            Event::Capacity { node, capacity } => self.planner.set_capacity(node, capacity)?,
        }
        Ok(())
    }
}

/// The vCPU with the most threads waiting, the first of equals; `None` if none wait.
fn longest(queues: &RunQueues, vcpus: impl Iterator<Item = VcpuId>) -> Option<VcpuId> {
    let waiting = vcpus.map(|vcpu| (queues.ready(vcpu).count(), std::cmp::Reverse(vcpu)));
    let (count, vcpu) = waiting.max()?;
    (count > 0).then_some(vcpu.0)
}

impl Scheduler for Das {
    fn name(&self) -> &'static str {
        "das"
    }

    fn handle(
        &mut self,
        now: Nanos,
        event: Event,
        out: &mut Vec<Decision>,
    ) -> Result<(), EventError> {
        let before = out.len();
        self.take(now, event, out)?;
        self.note_turns(now, &out[before..]);
        Ok(())
    }
}
