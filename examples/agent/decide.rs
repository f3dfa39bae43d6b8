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
        let parameters = Parameters {
            period,
            group: first.group_size,
            ..Parameters::default()
        };
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
            if !self.known.contains(number) {
                if self.planner.place(now, thread, node).is_ok() {
                    self.known.insert(*number);
                }
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

    /// After so many periods in which the vCPUs of each group waited for half of the time.
    fn snapshot(period: u64, groups: &[(u64, [u8; 2])]) -> Snapshot {
        let mut snapshot = Snapshot::new(Machine::new(&[2, 2]).unwrap());
        for (group, vcpus) in groups {
            let mut group = HotGroup::new(PageGroup(*group), NodeId::ZERO);
            for vcpu in vcpus {
                group.add(Sharer {
                    vcpu: VcpuId::new(*vcpu).unwrap(),
                    reads: 0,
                    writes: u32::try_from(period * 1000).unwrap(),
                    stall: Nanos(period * PERIOD / 2),
                });
            }
            assert!(snapshot.push_group(group));
        }
        snapshot
    }

    /// A thread on each processor, all of which run all the time.
    fn look(period: u64) -> Look {
        let thread = |cpu| Thread {
            cpu,
            used: period * PERIOD,
        };
        Look {
            threads: (0..4)
                .map(|cpu| (100 + u32::try_from(cpu).unwrap(), thread(cpu)))
                .collect(),
            busy: (0..4).map(|cpu| (cpu, period * PERIOD)).collect(),
        }
    }

    fn decider(first: &Snapshot) -> Decider {
        Decider::new(first, Cpus::new("", first.machine()), Nanos(PERIOD))
    }

    /// What is wanted in so many periods of the same.
    fn wanted(groups: &[(u64, [u8; 2])], stays: bool) -> Vec<Wanted> {
        let mut decider = decider(&snapshot(0, groups));
        let mut all = Vec::new();
        for period in 1..30 {
            let now = Nanos(period * PERIOD);
            let (wanted, report) = decider.turn(now, look(period), &snapshot(period, groups));
            assert_eq!(report.events().len(), 4);
            for of in wanted {
                if stays {
                    decider.stays(now, &of);
                }
                all.push(of);
            }
        }
        all
    }

    #[test]
    fn threads_that_share_pages_across_nodes_change_places() {
        let wanted = wanted(&[(7, [0, 2]), (9, [1, 3])], false);
        let nodes = |thread: u32| {
            let moved = wanted.iter().rev().find(|of| of.thread == thread);
            moved.map_or(u8::from(thread >= 102), |of| of.to.get())
        };
        assert_eq!(wanted.len(), 2, "{wanted:?}");
        assert_eq!(nodes(100), nodes(102), "{wanted:?}");
        assert_eq!(nodes(101), nodes(103), "{wanted:?}");
        assert_eq!(wanted[0].why, Why::Sharing);
    }

    #[test]
    fn threads_that_share_on_their_node_stay() {
        assert_eq!(wanted(&[(7, [0, 1]), (9, [2, 3])], false), []);
        assert_eq!(wanted(&[], false), []);
    }

    #[test]
    fn what_was_not_done_is_wanted_again() {
        assert!(wanted(&[(7, [0, 2]), (9, [1, 3])], true).len() > 2);
    }

    #[test]
    fn threads_that_end_are_forgotten() {
        let first = snapshot(0, &[]);
        let mut decider = decider(&first);
        decider.turn(Nanos(PERIOD), look(1), &first);
        assert_eq!(decider.known.len(), 4);
        decider.turn(Nanos(2 * PERIOD), Look::default(), &first);
        assert!(decider.known.is_empty());
        assert_eq!(decider.planner.node_of(ThreadId(100)), None);
    }
}
