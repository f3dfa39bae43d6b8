//! Snapshots from what each node tells.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use giantvm_core::{NodeId, PageIndex, VcpuId};
use giantvm_dsm::engine::STALL_GROUP;
use giantvm_dsm::protocol::HomeMap;
use giantvm_sched::channel::{
    Adviser, Counters, Features, HotGroup, Report, Sharer, Snapshot, Subject, ThreadEvent, layout,
};
use giantvm_sched::schedule::{Machine, Nanos, PageGroup, ThreadId};

use crate::stalls::{GroupStall, HOTTEST, NodeStalls};

/// Remote faults of a node from which on their mean is told as what its links cost.
const ENOUGH: u64 = 100;
/// What is told and heard.
pub(super) const FEATURES: Features = Features::FAULTS
    .with(Features::GROUPS)
    .with(Features::ADVICE)
    .with(Features::THREADS);

/// Puts together what nodes tell. Pure: time is an argument.
#[derive(Debug)]
pub(super) struct Gatherer {
    machine: Machine,
    homes: HomeMap,
    adviser: Adviser,
    counters: BTreeMap<VcpuId, Counters>,
    /// What each node last told of groups.
    groups: BTreeMap<NodeId, Vec<GroupStall>>,
    /// What the guest says that vCPUs run.
    running: BTreeMap<VcpuId, ThreadId>,
    last: Option<Snapshot>,
}

impl Gatherer {
    pub(super) fn new(machine: Machine, homes: HomeMap) -> Self {
        Self {
            adviser: Adviser::new(machine.clone()),
            machine,
            homes,
            counters: BTreeMap::new(),
            groups: BTreeMap::new(),
            running: BTreeMap::new(),
            last: None,
        }
    }

    /// Takes what a node tells. What it says of vCPUs that are not its own is left out, and counters
    /// never go back.
    pub(super) fn learn(&mut self, node: NodeId, mut told: NodeStalls) {
        let own = |vcpu: u8| {
            let vcpu = VcpuId::new(vcpu).ok()?;
            (self.machine.node_of(vcpu) == Some(node)).then_some(vcpu)
        };
        for (vcpu, of) in told.vcpus.iter().filter_map(|of| Some((own(of.vcpu)?, of))) {
            let counters = self.counters.entry(vcpu).or_default();
            counters.reads = counters.reads.max(of.reads);
            counters.writes = counters.writes.max(of.writes);
            counters.stall = counters.stall.max(Nanos(of.nanos));
        }
        told.groups.retain(|of| own(of.vcpu).is_some());
        told.groups.truncate(HOTTEST);
        self.groups.insert(node, told.groups);
    }

    /// Takes what the guest tells of its threads.
    pub(super) fn hear(&mut self, report: &Report) {
        for event in report.events() {
            match *event {
                ThreadEvent::Runs { vcpu, thread } if self.machine.node_of(vcpu).is_some() => {
                    match thread {
                        Some(thread) => self.running.insert(vcpu, thread),
                        None => self.running.remove(&vcpu),
                    };
                }
                ThreadEvent::Exits { thread } => self.running.retain(|_, runs| *runs != thread),
                ThreadEvent::Runs { .. }
                | ThreadEvent::Starts { .. }
                | ThreadEvent::Wakes { .. }
                | ThreadEvent::Blocks { .. } => {}
            }
        }
    }

    /// All that is known `now`.
    pub(super) fn snapshot(&mut self, now: Nanos) -> Snapshot {
        self.set_links();
        let mut snapshot = Snapshot::new(self.machine.clone());
        snapshot.time = now;
        snapshot.features = FEATURES;
        for (vcpu, of) in &self.counters {
            if let Some(counters) = snapshot.counters_mut(*vcpu) {
                *counters = *of;
            }
        }
        for group in self.hottest() {
            snapshot.push_group(group);
        }
        self.adviser.advise(now, &mut snapshot);
        let snapshot = self.named(snapshot);
        self.numbered(snapshot)
    }

    /// The hottest groups with their sharers.
    fn hottest(&self) -> Vec<HotGroup> {
        let mut groups = BTreeMap::<u64, (u64, HotGroup)>::new();
        for of in self.groups.values().flatten() {
            let Ok(vcpu) = VcpuId::new(of.vcpu) else {
                continue;
            };
            let page = PageIndex(of.group.saturating_mul(STALL_GROUP));
            let Some(home) = self.homes.home(page) else {
                continue;
            };
            let empty = || (0, HotGroup::new(PageGroup(of.group), home));
            let (recent, group) = groups.entry(of.group).or_insert_with(empty);
            *recent += u64::from(of.recent);
            group.add(Sharer {
                vcpu,
                reads: of.reads,
                writes: of.writes,
                stall: Nanos(of.nanos),
            });
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|(recent, group)| (Reverse(*recent), group.group));
        groups.truncate(layout::MAX_GROUPS);
        groups.into_iter().map(|(_, group)| group).collect()
    }

    /// What a fault took on average is what links cost: half of it is each end's.
    fn set_links(&mut self) {
        let mean = |node: NodeId| {
            let of = self.machine.vcpus_of(node);
            let all = of.filter_map(|vcpu| self.counters.get(&vcpu));
            let (faults, stall) = all.fold((0, 0_u64), |(faults, stall), of| {
                let more = of.reads.saturating_add(of.writes);
                (
                    more.saturating_add(faults),
                    stall.saturating_add(of.stall.0),
                )
            });
            (faults >= ENOUGH).then(|| stall / faults)
        };
        let means: Vec<_> = self
            .machine
            .nodes()
            .map(|node| (node, mean(node)))
            .collect();
        for (a, of_a) in &means {
            for (b, of_b) in means.iter().filter(|(b, _)| b < a) {
                let both = [*of_a, *of_b].into_iter().flatten();
                let count = both.clone().count() as u64;
                if let Some(mean) = both.fold(0, u64::saturating_add).checked_div(count) {
                    self.machine.set_link(*a, *b, Nanos(mean));
                }
            }
        }
    }

    /// Advice about vCPUs whose threads the guest names is about those.
    fn named(&self, snapshot: Snapshot) -> Snapshot {
        if self.running.is_empty() {
            return snapshot;
        }
        let name = |subject: Subject| match subject {
            Subject::Vcpu(vcpu) => self
                .running
                .get(&vcpu)
                .map_or(subject, |thread| Subject::Thread(*thread)),
            Subject::Thread(_) => subject,
        };
        snapshot.with_subjects(name)
    }

    /// Gives it a number of its own if it is another than the last.
    fn numbered(&mut self, mut snapshot: Snapshot) -> Snapshot {
        snapshot.generation = match &self.last {
            Some(last) if last.says_the_same(&snapshot) => last.generation,
            Some(last) => last.generation + 1,
            None => 1,
        };
        self.last = Some(snapshot.clone());
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stalls::VcpuStall;

    fn node(number: u8) -> NodeId {
        NodeId::new(number).unwrap()
    }

    /// Two nodes of two vCPUs; the first half of 64 groups is at home on the first.
    fn gatherer() -> Gatherer {
        let homes = HomeMap::even(64 * STALL_GROUP, NodeId::first(2));
        Gatherer::new(Machine::new(&[2, 2]).unwrap(), homes)
    }

    fn vcpu(vcpu: u8, reads: u64, nanos: u64) -> VcpuStall {
        VcpuStall {
            vcpu,
            reads,
            writes: 0,
            nanos,
        }
    }

    fn group(group: u64, vcpu: u8, recent: u32) -> GroupStall {
        GroupStall {
            group,
            vcpu,
            reads: 0,
            writes: recent,
            nanos: u64::from(recent) * 20_000,
            recent,
        }
    }

    #[test]
    fn groups_have_all_their_sharers_and_the_hottest_comes_first() {
        let mut gatherer = gatherer();
        let groups = vec![group(3, 0, 50), group(40, 1, 30)];
        gatherer.learn(
            node(0),
            NodeStalls {
                vcpus: vec![],
                groups,
            },
        );
        let groups = vec![group(40, 2, 30), group(9999, 3, 1_000)];
        gatherer.learn(
            node(1),
            NodeStalls {
                vcpus: vec![],
                groups,
            },
        );
        let snapshot = gatherer.snapshot(Nanos(0));
        let told = snapshot.groups().iter().map(|group| {
            let sharers = group.sharers().iter().map(|sharer| sharer.vcpu.get());
            (group.group.0, group.home.get(), sharers.collect::<Vec<_>>())
        });
        // The last page group is outside of the memory.
        assert_eq!(
            told.collect::<Vec<_>>(),
            [(40, 1, vec![1, 2]), (3, 0, vec![0])]
        );
    }

    #[test]
    fn a_node_tells_of_its_own_vcpus_only_and_counters_never_go_back() {
        let mut gatherer = gatherer();
        let told = |reads| NodeStalls {
            vcpus: vec![vcpu(1, reads, reads * 10), vcpu(2, 99, 99), vcpu(255, 1, 1)],
            groups: vec![group(1, 2, 9), group(1, 255, 9)],
        };
        gatherer.learn(node(0), told(7));
        gatherer.learn(node(0), told(5));
        let snapshot = gatherer.snapshot(Nanos(0));
        let reads: Vec<_> = snapshot.counters().iter().map(|of| of.reads).collect();
        assert_eq!(reads, [0, 7, 0, 0]);
        assert_eq!(snapshot.groups(), []);
    }

    #[test]
    fn the_generation_is_another_only_if_something_is() {
        let mut gatherer = gatherer();
        let mut at = |nanos| gatherer.snapshot(Nanos(nanos)).generation;
        assert_eq!([at(0), at(5)], [1, 1]);
        gatherer.learn(
            node(0),
            NodeStalls {
                vcpus: vec![vcpu(0, 1, 1)],
                groups: vec![],
            },
        );
        assert_eq!(gatherer.snapshot(Nanos(6)).generation, 2);
    }

    #[test]
    fn links_cost_what_faults_took() {
        let mut gatherer = gatherer();
        let before = gatherer.snapshot(Nanos(0)).machine().link(node(0), node(1));
        gatherer.learn(
            node(0),
            NodeStalls {
                vcpus: vec![vcpu(0, 99, 99 * 70_000)],
                groups: vec![],
            },
        );
        let few = gatherer.snapshot(Nanos(0)).machine().link(node(0), node(1));
        assert_eq!(few, before);
        gatherer.learn(
            node(0),
            NodeStalls {
                vcpus: vec![vcpu(0, 200, 200 * 70_000)],
                groups: vec![],
            },
        );
        gatherer.learn(
            node(1),
            NodeStalls {
                vcpus: vec![vcpu(2, 200, 200 * 90_000)],
                groups: vec![],
            },
        );
        let many = gatherer.snapshot(Nanos(0)).machine().link(node(0), node(1));
        assert_eq!(many, Nanos(80_000));
    }

    #[test]
    fn who_waits_for_the_other_node_is_advised_by_the_name_that_the_guest_gave() {
        let mut gatherer = gatherer();
        let mut report = Report::default();
        report.push(ThreadEvent::Runs {
            vcpu: VcpuId::BOOT,
            thread: Some(ThreadId(77)),
        });
        gatherer.hear(&report);
        // The first vCPU and the third write one group by turns, the second and the fourth another.
        let mut advised = Vec::new();
        for period in 1..40_u32 {
            let of = |a: u8, b: u8| NodeStalls {
                vcpus: vec![],
                groups: vec![group(5, a, period * 2000), group(50, b, period * 2000)],
            };
            gatherer.learn(node(0), of(0, 1));
            gatherer.learn(node(1), of(2, 3));
            let snapshot = gatherer.snapshot(Nanos(u64::from(period) * 100_000_000));
            advised.extend(
                snapshot
                    .advice()
                    .iter()
                    .flat_map(|of| of.subjects().to_vec()),
            );
        }
        assert!(!advised.is_empty(), "both wait half of the time");
        assert!(
            !advised.contains(&Subject::Vcpu(VcpuId::BOOT)),
            "{advised:?}"
        );
    }
}
