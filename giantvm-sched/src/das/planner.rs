//! The planner: evidence in, plans out.

use std::collections::BTreeMap;

use giantvm_core::NodeId;

use super::cost::{Assignment, Terrain};
use super::decay::Decay;
use super::evidence::Evidence;
use super::graph::Graph;
use super::params::Parameters;
use super::plan::{Move, Plan, Step};
use super::search::{Action, Best, Search, Work};
use super::seat::Seat;
use crate::schedule::{
    Capacity, EventError, Faults, MAX_THREADS, Machine, Nanos, PageGroup, ThreadId,
};

/// Decides which node each thread and each home should be on.
///
/// This is the core of DaS without run queues: for a guest's scheduler, for an agent that sets
/// affinities, and for a host that places vCPUs. What it plans it takes to be done; if a thread ends
/// up elsewhere, say so with [`place`](Self::place).
///
/// ```
/// use giantvm_core::NodeId;
/// use giantvm_sched::das::{Move, Parameters, Planner};
/// use giantvm_sched::schedule::{Faults, Machine, Nanos, PageGroup, ThreadId};
///
/// let mut planner = Planner::new(Machine::new(&[2, 2])?, Parameters::default());
/// let (here, there) = (NodeId::new(0)?, NodeId::new(1)?);
/// planner.place(Nanos(0), ThreadId(1), here)?;
/// planner.place(Nanos(0), ThreadId(2), there)?;
/// let mut moves = Vec::new();
/// for period in 1..10 {
///     let now = Nanos(period * 100_000_000);
///     for thread in [ThreadId(1), ThreadId(2)] {
///         // Both store to the same pages and wait for them half of the time.
///         let (group, stall) = (PageGroup(7), Nanos(50_000_000));
///         let faults = Faults { thread, group, reads: 0, writes: 2500, stall, home: here };
///         planner.observe(now, &faults)?;
///     }
///     moves.extend(planner.plan(now).moves());
/// }
/// assert_eq!(moves, [Move::Thread { thread: ThreadId(1), from: here, to: there }]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Planner {
    machine: Machine,
    capacities: Vec<Capacity>,
    params: Parameters,
    decay: Decay,
    evidence: Evidence,
    seats: BTreeMap<ThreadId, Seat>,
    /// The period of the last plan.
    planned: Option<u64>,
}

impl Planner {
    /// A planner that knows no thread.
    #[must_use]
    pub fn new(machine: Machine, params: Parameters) -> Self {
        let params = params.checked();
        let decay = Decay::new(params.half_life);
        let vcpus = machine.nodes().map(|node| machine.vcpus_of(node).count());
        Self {
            capacities: vcpus.map(Capacity::of_vcpus).collect(),
            evidence: Evidence::new(decay, params.memory),
            seats: BTreeMap::new(),
            planned: None,
            machine,
            params,
            decay,
        }
    }

    /// The machine, with the links that are known.
    #[must_use]
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The parameters, as they are used.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.params
    }

    /// A thread is on a node: it is new, or something else than a plan moved it.
    ///
    /// # Errors
    /// [`EventError`] if there is no such node, or there are too many threads.
    pub fn place(&mut self, now: Nanos, thread: ThreadId, node: NodeId) -> Result<(), EventError> {
        self.check(node)?;
        let step = self.step(now);
        let (full, period) = (self.seats.len() >= MAX_THREADS, self.params.period);
        match self.seats.get_mut(&thread) {
            Some(seat) => seat.node = node,
            None if full => return Err(EventError::Full(thread)),
            None => {
                let seat = Seat::new(now, step, node, self.decay, period);
                self.seats.insert(thread, seat);
            }
        }
        Ok(())
    }

    /// A thread is done.
    pub fn forget(&mut self, thread: ThreadId) {
        self.seats.remove(&thread);
        self.evidence.forget(thread);
    }

    /// A thread can run from now on, or waits for something other than a page.
    ///
    /// # Errors
    /// [`EventError::Unknown`].
    pub fn set_runnable(
        &mut self,
        now: Nanos,
        thread: ThreadId,
        is_runnable: bool,
    ) -> Result<(), EventError> {
        let (step, period) = (self.step(now), self.params.period);
        let seat = self.seats.get_mut(&thread);
        let seat = seat.ok_or(EventError::Unknown(thread))?;
        seat.count(now, step, self.decay, period);
        seat.set_runnable(is_runnable);
        Ok(())
    }

    /// A thread had remote faults. Constant time: a thread's table is of fixed size.
    ///
    /// # Errors
    /// [`EventError`] for a thread or a home that is not there.
    pub fn observe(&mut self, now: Nanos, faults: &Faults) -> Result<(), EventError> {
        self.check(faults.home)?;
        let step = self.step(now);
        let seat = self.seats.get_mut(&faults.thread);
        let doing = &mut seat.ok_or(EventError::Unknown(faults.thread))?.doing;
        doing.stall(faults.stall.0);
        let stall = faults.stall.0.saturating_mul(doing.stands_for());
        let lost = Faults {
            stall: Nanos(stall),
            ..*faults
        };
        self.evidence.count(step, &lost);
        Ok(())
    }

    /// A thread had a processor for a time, and computed for some of it. Where nobody says so, stalls are
    /// taken to be all that it loses.
    ///
    /// # Errors
    /// [`EventError::Unknown`].
    pub fn ran(
        &mut self,
        now: Nanos,
        thread: ThreadId,
        held: Nanos,
        cpu: Nanos,
    ) -> Result<(), EventError> {
        let (step, period) = (self.step(now), self.params.period);
        let seat = self.seats.get_mut(&thread);
        let seat = seat.ok_or(EventError::Unknown(thread))?;
        seat.count(now, step, self.decay, period);
        seat.doing.run(held.0, cpu.0);
        Ok(())
    }

    /// A link was measured. A node and itself are no link; nothing changes for that.
    ///
    /// # Errors
    /// [`EventError::Node`].
    pub fn set_link(&mut self, a: NodeId, b: NodeId, cost: Nanos) -> Result<(), EventError> {
        self.check(a)?;
        self.check(b)?;
        self.machine.set_link(a, b, cost);
        Ok(())
    }

    /// What a node can take has changed.
    ///
    /// # Errors
    /// [`EventError::Node`].
    pub fn set_capacity(&mut self, node: NodeId, capacity: Capacity) -> Result<(), EventError> {
        self.check(node)?;
        self.capacities[node.index()] = capacity;
        Ok(())
    }

    /// The node that a thread is on.
    #[must_use]
    pub fn node_of(&self, thread: ThreadId) -> Option<NodeId> {
        self.seats.get(&thread).map(|seat| seat.node)
    }

    /// Whether a thread waits for pages so much that where it is matters: by what it knows of late, for
    /// at least the least gain. A processor that idles is worth more than less than that.
    #[must_use]
    pub fn is_bound(&self, thread: ThreadId) -> bool {
        let uses = self.evidence.uses(thread).iter();
        let stall: u64 = uses.map(|of| of.stall.per_step(self.decay)).sum();
        stall.saturating_mul(self.steps_a_second()) >= self.params.least_gain
    }

    /// Whether a node takes one thread more.
    #[must_use]
    pub fn has_room(&self, node: NodeId) -> bool {
        let on = self.seats.values().filter(|seat| seat.node == node).count();
        let capacity = self.capacities.get(node.index());
        capacity.is_some_and(|capacity| on < capacity.threads)
    }

    /// Whether a new period has begun since the last plan.
    #[must_use]
    pub fn is_due(&self, now: Nanos) -> bool {
        self.planned.is_none_or(|planned| self.step(now) > planned)
    }

    /// What should move now, and takes it to be done. At most once a period; otherwise nothing.
    pub fn plan(&mut self, now: Nanos) -> Plan {
        if !self.is_due(now) {
            return Plan::default();
        }
        let (step, period) = (self.step(now), self.params.period);
        self.planned = Some(step);
        for seat in self.seats.values_mut() {
            seat.count(now, step, self.decay, period);
        }
        if !self.evidence.is_empty() {
            let gathered = self.gathered();
            let is_gathered = |group| gathered.get(&group).copied().flatten().is_some();
            self.evidence.fade(step, is_gathered);
        }
        let threads: Vec<_> = self.seats.keys().copied().collect();
        let graph = self.graph(&threads);
        let (plan, gathered) = self.search(now, &threads, &graph);
        let team = gathered.len();
        for thread in gathered {
            if let Some(seat) = self.seats.get_mut(&thread) {
                seat.gathers(now, team, self.params.residency);
                // Nothing new will be heard for a while, and what was heard is of a part of a half-life only.
                let missing = seat.doing.missing(self.decay.steady(period.0));
                self.evidence.scale(thread, missing);
            }
        }
        for of in plan.moves() {
            match of {
                Move::Thread { thread, to, .. } => {
                    if let Some(seat) = self.seats.get_mut(&thread) {
                        seat.moves(now, to, self.params.residency);
                    }
                }
                Move::Home { group, to, .. } => {
                    let capacity = &mut self.capacities[to.index()];
                    capacity.groups = capacity.groups.saturating_sub(1);
                    self.evidence.rehome(group, to);
                }
            }
        }
        plan
    }

    fn check(&self, node: NodeId) -> Result<(), EventError> {
        let known = self.machine.has_node(node);
        known.then_some(()).ok_or(EventError::Node(node))
    }

    fn steps_a_second(&self) -> u64 {
        (1_000_000_000 / self.params.period.0).max(1)
    }

    fn step(&self, now: Nanos) -> u64 {
        now.0 / self.params.period.0
    }

    /// Groups with several users, and the node that all of them are on, if they are on one.
    fn gathered(&self) -> BTreeMap<PageGroup, Option<NodeId>> {
        let mut users: BTreeMap<PageGroup, (u32, Option<NodeId>)> = BTreeMap::new();
        for (thread, uses) in self.evidence.iter() {
            let node = self.node_of(thread);
            for of in uses {
                let entry = users.entry(of.group).or_insert((0, node));
                entry.0 += 1;
                entry.1 = entry.1.filter(|_| entry.1 == node);
            }
        }
        let several = users.into_iter().filter(|&(_, (count, _))| count > 1);
        several.map(|(group, (_, node))| (group, node)).collect()
    }

    fn graph(&self, threads: &[ThreadId]) -> Graph {
        let steps_a_second = self.steps_a_second();
        let pages = self.params.group.pages();
        Graph::new(&self.evidence, threads, self.decay, steps_a_second, pages)
    }

    /// The plan, and the threads that come together as apart they get little done.
    fn search(&self, now: Nanos, threads: &[ThreadId], graph: &Graph) -> (Plan, Vec<ThreadId>) {
        let (decay, period, residency) = (self.decay, self.params.period, self.params.residency);
        let demand = |seat: &Seat| seat.demand(decay, period).cast_signed() * 1_000_000;
        let demands: Vec<_> = self.seats.values().map(demand).collect();
        let nodes = self.seats.values().map(|seat| seat.node.index()).collect();
        let stays = |seat: &Seat| seat.stays(now, residency) || seat.team(now) > 0;
        let fixed = self.seats.values().map(stays).collect();
        let move_cost = self.params.move_cost.0.cast_signed();
        let terrain = Terrain::new(&self.machine, &self.capacities, move_cost);
        let assignment = Assignment::new(&terrain, graph, &demands, nodes);
        let works: Vec<_> = (self.seats.values())
            .zip(&demands)
            .map(|(seat, demand)| Work::of(&seat.doing, *demand, seat.team(now)))
            .collect();
        let largest = self.largest_group();
        let mut search =
            Search::new(&self.params, graph, assignment, fixed, largest).knowing(&works);
        let (mut plan, mut gathered) = (Plan::default(), Vec::new());
        while plan.steps.len() < self.params.steps {
            let before: Vec<_> = (0..threads.len())
                .map(|thread| search.assignment().node_of(thread))
                .collect();
            let Some(best) = search.step() else {
                break;
            };
            for &member in &best.together {
                gathered.push(threads[member]);
            }
            plan.steps.push(self.told(&best, threads, graph, &before));
        }
        plan.weighed = search.weighed;
        (plan, gathered)
    }

    /// The most threads that make sense on one node: its share of all, or one a vCPU.
    fn largest_group(&self) -> usize {
        let of = |capacity: &Capacity| (capacity.millicpus as usize).div_ceil(1000);
        let all: usize = self.capacities.iter().map(of).sum();
        let largest = self.capacities.iter().map(of).max().unwrap_or(0);
        largest.max((self.seats.len() * largest).div_ceil(all.max(1)))
    }

    fn told(&self, best: &Best, threads: &[ThreadId], graph: &Graph, before: &[usize]) -> Step {
        // Indices are those of the machine's nodes.
        let node = |index| NodeId::try_from(index).unwrap_or(NodeId::ZERO);
        let moves = match &best.action {
            Action::Threads(shifts) => {
                let told = shifts.iter().map(|&(thread, to)| Move::Thread {
                    thread: threads[thread],
                    from: node(before[thread]),
                    to: node(to),
                });
                told.collect()
            }
            &Action::Home(home, to) => vec![Move::Home {
                group: graph.homes[home].group,
                from: node(graph.homes[home].node),
                to: node(to),
            }],
        };
        Step {
            moves,
            gain: best.weighed.gain().unsigned_abs(),
            cost: Nanos(best.weighed.cost.unsigned_abs()),
            why: best.why,
        }
    }
}
