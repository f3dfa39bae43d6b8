//! Which threads go where: DaS with what the host tells and what the kernel shows.

use std::collections::BTreeSet;

use giantvm_core::NodeId;
use giantvm_sched::channel::{Deltas, Report, Snapshot, ThreadEvent};
use giantvm_sched::das::{Move, Parameters, Planner, Why};
use giantvm_sched::schedule::{Nanos, ThreadId};

use crate::blame::Shares;
use crate::cpus::Cpus;
use crate::watch::Look;

/// A thread that is to run elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) thread: u32,
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    /// What the step that it is part of is expected to save, in ns a second.
    pub(crate) gain: u64,
    pub(crate) why: Why,
}

/// Decides. Pure: looks, snapshots and the time are arguments.
#[derive(Debug)]
pub(crate) struct Decider {
    planner: Planner,
    deltas: Deltas,
    cpus: Cpus,
    known: BTreeSet<u32>,
    last: Look,
}

impl Decider {
    /// One for the machine of the first snapshot, which plans once in `period`.
    pub(crate) fn new(first: &Snapshot, cpus: Cpus, period: Nanos) -> Self {
        let mut parameters = Parameters::default();
        (parameters.period, parameters.group) = (period, first.group_size);
        let mut deltas = Deltas::default();
        deltas.take(first);
        Self {
            planner: Planner::new(first.machine().clone(), parameters),
            deltas,
            cpus,
            known: BTreeSet::new(),
            last: Look::default(),
        }
    }

    /// What is to be done by now, and what the host is to be told. What is wanted is taken to be done:
    /// say of what was not that it [stays](Self::stays).
    pub(crate) fn turn(
        &mut self,
        now: Nanos,
        look: Look,
        snapshot: &Snapshot,
    ) -> (Vec<Wanted>, Report) {
        self.learn_links(snapshot);
        self.meet(now, &look);
        let shares = Shares::new(&self.last, &look, &self.cpus);
        for faults in self.deltas.take(snapshot) {
            for part in shares.divide(&faults) {
                // A thread that is not known is one too many for a planner.
                self.planner.observe(now, &part).ok();
            }
        }
        let report = self.report(&shares);
        self.last = look;
        (self.plan(now), report)
    }

    /// A thread was not moved.
    pub(crate) fn stays(&mut self, now: Nanos, wanted: &Wanted) {
        // The node is the planner's own.
        self.planner
            .place(now, ThreadId(wanted.thread), wanted.from)
            .ok();
    }

    fn learn_links(&mut self, snapshot: &Snapshot) {
        let machine = snapshot.machine();
        for a in machine.nodes() {
            for b in machine.nodes().filter(|b| *b < a) {
                // Nodes that the first snapshot did not have are no one's.
                self.planner.set_link(a, b, machine.link(a, b)).ok();
            }
        }
    }

    /// Who is new, who is gone, and who ran.
    fn meet(&mut self, now: Nanos, look: &Look) {
        let gone = self
            .known
            .iter()
            .filter(|thread| !look.threads.contains_key(thread));
        for thread in gone.copied().collect::<Vec<_>>() {
            self.planner.forget(ThreadId(thread));
            self.known.remove(&thread);
        }
        for (number, of) in &look.threads {
            let thread = ThreadId(*number);
            let Some(node) = self.cpus.node(of.cpu) else {
                continue;
            };
            // The kernel moves threads, too, as long as no one has told it where they belong.
            let was = self.planner.node_of(thread);
            if was != Some(node) && self.planner.place(now, thread, node).is_ok() {
                self.known.insert(*number);
            }
            let last = self.last.threads.get(number).map(|last| last.used);
            let ran = last.is_none_or(|last| of.used > last);
            self.planner.set_runnable(now, thread, ran).ok();
        }
    }

    fn plan(&mut self, now: Nanos) -> Vec<Wanted> {
        let plan = self.planner.plan(now);
        let wanted = plan.steps.iter().flat_map(|step| {
            step.moves.iter().filter_map(|of| match *of {
                Move::Thread { thread, from, to } => Some(Wanted {
                    thread: thread.0,
                    from,
                    to,
                    gain: step.gain,
                    why: step.why,
                }),
                // Where pages are at home is the host's affair.
                Move::Home { .. } => None,
            })
        });
        wanted.collect()
    }

    /// Which thread ran on which vCPU most.
    fn report(&self, shares: &Shares) -> Report {
        let mut report = Report::default();
        for (vcpu, thread) in shares.foremost() {
            let vcpu = u8::try_from(vcpu).ok();
            if let Some(vcpu) = vcpu.and_then(|number| giantvm_core::VcpuId::new(number).ok()) {
                report.push(ThreadEvent::Runs {
                    vcpu,
                    thread: Some(ThreadId(thread)),
                });
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use giantvm_core::VcpuId;
    use giantvm_sched::channel::{HotGroup, Sharer};
    use giantvm_sched::schedule::{Machine, PageGroup};

    use super::*;
    use crate::watch::Thread;

    const PERIOD: u64 = 100_000_000;

    /// Four threads, of which two by two write the same pages, on two nodes of two processors.
    struct World {
        period: u64,
        /// The processor of each thread.
        cpus: [u8; 4],
        /// What each vCPU waited for each team's pages, in periods.
        waited: [[u64; 4]; 2],
    }

    impl World {
        const TEAMS: [[usize; 2]; 2] = [[0, 2], [1, 3]];

        const fn new(cpus: [u8; 4]) -> Self {
            Self {
                period: 0,
                cpus,
                waited: [[0; 4]; 2],
            }
        }

        fn are_together(&self) -> bool {
            let node = |thread: usize| self.cpus[thread] / 2;
            Self::TEAMS.iter().all(|[a, b]| node(*a) == node(*b))
        }

        /// One period in which all threads run, and those of a team wait half of it if they are apart.
        fn run(&mut self) -> (Nanos, Look, Snapshot) {
            self.period += 1;
            for (team, waited) in Self::TEAMS.iter().zip(&mut self.waited) {
                let [a, b] = team.map(|thread| self.cpus[thread]);
                if a / 2 != b / 2 {
                    waited[usize::from(a)] += 1;
                    waited[usize::from(b)] += 1;
                }
            }
            (Nanos(self.period * PERIOD), self.look(), self.snapshot())
        }

        fn look(&self) -> Look {
            let used = self.period * PERIOD;
            let thread = |cpu: &u8| Thread {
                cpu: (*cpu).into(),
                used,
            };
            Look {
                threads: (100..).zip(self.cpus.iter().map(thread)).collect(),
                busy: (0..4).map(|cpu| (cpu, used)).collect(),
            }
        }

        fn snapshot(&self) -> Snapshot {
            let mut snapshot = Snapshot::new(Machine::new(&[2, 2]).unwrap());
            for (team, waited) in (7..).zip(&self.waited) {
                let mut group = HotGroup::new(PageGroup(team), NodeId::ZERO);
                for (vcpu, periods) in VcpuId::first(4).zip(waited) {
                    group.add(Sharer {
                        vcpu,
                        reads: 0,
                        writes: u32::try_from(periods * 1000).unwrap(),
                        stall: Nanos(periods * PERIOD / 2),
                    });
                }
                assert!(snapshot.push_group(group));
            }
            snapshot
        }

        /// Threads that are wanted elsewhere take one another's processors.
        fn place(&mut self, wanted: &[Wanted]) {
            let index = |of: &Wanted| usize::try_from(of.thread - 100).unwrap();
            let mut free: Vec<_> = wanted.iter().map(|of| self.cpus[index(of)]).collect();
            for of in wanted {
                let at = free.iter().position(|cpu| cpu / 2 == of.to.get());
                self.cpus[index(of)] = free.remove(at.expect("they change places"));
            }
        }
    }

    fn decider(first: &Snapshot) -> Decider {
        Decider::new(first, Cpus::new("", first.machine()), Nanos(PERIOD))
    }

    #[test]
    fn threads_that_share_pages_across_nodes_change_places_once() {
        let mut world = World::new([0, 1, 2, 3]);
        let (mut decider, mut moves) = (decider(&world.snapshot()), 0);
        for _ in 0..100 {
            let (now, look, snapshot) = world.run();
            let (wanted, report) = decider.turn(now, look, &snapshot);
            assert_eq!(report.events().len(), 4);
            assert!(wanted.iter().all(|of| of.why == Why::Sharing), "{wanted:?}");
            moves += wanted.len();
            world.place(&wanted);
        }
        assert!(world.are_together());
        assert_eq!(moves, 2, "two change places");
    }

    #[test]
    fn threads_that_share_on_their_node_stay() {
        let mut world = World::new([0, 2, 1, 3]);
        let mut decider = decider(&world.snapshot());
        for _ in 0..30 {
            let (now, look, snapshot) = world.run();
            assert_eq!(decider.turn(now, look, &snapshot).0, []);
        }
    }

    #[test]
    fn what_was_not_done_is_wanted_again() {
        let mut world = World::new([0, 1, 2, 3]);
        let (mut decider, mut times) = (decider(&world.snapshot()), 0);
        for _ in 0..60 {
            let (now, look, snapshot) = world.run();
            let (wanted, _) = decider.turn(now, look, &snapshot);
            wanted.iter().for_each(|of| decider.stays(now, of));
            times += usize::from(!wanted.is_empty());
        }
        assert!(times > 1, "once is not enough");
    }

    #[test]
    fn threads_that_the_kernel_brought_together_stay() {
        let mut world = World::new([0, 1, 2, 3]);
        let mut decider = decider(&world.snapshot());
        let (now, look, snapshot) = world.run();
        assert_eq!(decider.turn(now, look, &snapshot).0, []);
        world.cpus = [0, 2, 1, 3];
        for _ in 0..30 {
            let (now, look, snapshot) = world.run();
            assert_eq!(decider.turn(now, look, &snapshot).0, []);
        }
    }

    #[test]
    fn threads_that_the_kernel_parted_come_together_again() {
        let mut world = World::new([0, 2, 1, 3]);
        let mut decider = decider(&world.snapshot());
        let (now, look, snapshot) = world.run();
        assert_eq!(decider.turn(now, look, &snapshot).0, []);
        world.cpus = [0, 1, 2, 3];
        for _ in 0..100 {
            let (now, look, snapshot) = world.run();
            let (wanted, _) = decider.turn(now, look, &snapshot);
            world.place(&wanted);
        }
        assert!(world.are_together());
    }

    #[test]
    fn threads_that_end_are_forgotten() {
        let mut world = World::new([0, 1, 2, 3]);
        let mut decider = decider(&world.snapshot());
        let (now, look, snapshot) = world.run();
        decider.turn(now, look, &snapshot);
        assert_eq!(decider.known.len(), 4);
        decider.turn(Nanos(2 * PERIOD), Look::default(), &snapshot);
        assert!(decider.known.is_empty());
        assert_eq!(decider.planner.node_of(ThreadId(100)), None);
    }
}
