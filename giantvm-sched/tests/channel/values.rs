//! Any snapshot and any report.

use giantvm_core::{NodeId, VcpuId};
use giantvm_sched::channel::{
    Advice, Counters, Features, HotGroup, Message, Report, Sharer, Snapshot, Subject, ThreadEvent,
};
use giantvm_sched::schedule::{GroupSize, MAX_LINK, Machine, Nanos, PageGroup, ThreadId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn vcpu() -> impl Strategy<Value = VcpuId> {
    (0..=253_u8).prop_map(|number| VcpuId::new(number).unwrap())
}

fn machine() -> impl Strategy<Value = Machine> {
    let links = vec((0..8_u8, 0..8_u8, 0..2 * MAX_LINK.0), 0..8);
    (vec(0..9_usize, 1..8), links).prop_map(|(mut vcpus, links)| {
        vcpus[0] += 1;
        let mut machine = Machine::new(&vcpus).unwrap();
        for (a, b, cost) in links {
            let [a, b] = [a, b].map(|node| NodeId::new(node).unwrap());
            machine.set_link(a, b, Nanos(cost));
        }
        machine
    })
}

/// A group, with numbers that mean a node and vCPUs of any machine by their remainders.
type Raw = (u64, u8, Vec<(u8, u32, u32, u64)>);
type RawAdvice = (u64, u8, Vec<(bool, u32)>);

fn group() -> impl Strategy<Value = Raw> {
    let sharer = (any::<u8>(), any::<u32>(), any::<u32>(), any::<u64>());
    (any::<u64>(), any::<u8>(), vec(sharer, 0..20))
}

fn fill(snapshot: &mut Snapshot, groups: Vec<Raw>, advice: Vec<RawAdvice>) {
    let machine = snapshot.machine().clone();
    let node = |of: u8| NodeId::try_from(usize::from(of) % machine.node_count()).unwrap();
    let vcpu = |of: u32| {
        let index = of as usize % machine.vcpu_count();
        VcpuId::new(index.try_into().unwrap()).unwrap()
    };
    for (group, home, sharers) in groups {
        let mut group = HotGroup::new(PageGroup(group), node(home));
        for (of, reads, writes, stall) in sharers {
            group.add(Sharer {
                vcpu: vcpu(of.into()),
                reads,
                writes,
                stall: Nanos(stall),
            });
        }
        assert!(snapshot.push_group(group));
    }
    for (gain, to, subjects) in advice {
        let mut advice = Advice::new(node(to), gain);
        for (is_thread, number) in subjects {
            advice.add(if is_thread {
                Subject::Thread(ThreadId(number))
            } else {
                Subject::Vcpu(vcpu(number))
            });
        }
        assert!(snapshot.push_advice(advice));
    }
}

pub(crate) fn snapshot() -> impl Strategy<Value = Snapshot> {
    let head = (
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
        0..16_u32,
        0..10_u32,
    );
    let advice = (
        any::<u64>(),
        any::<u8>(),
        vec((any::<bool>(), any::<u32>()), 0..9),
    );
    let counters = vec((any::<u64>(), any::<u64>(), any::<u64>()), 72);
    (
        machine(),
        head,
        counters,
        vec(group(), 0..6),
        vec(advice, 0..4),
    )
        .prop_map(|(machine, head, counters, groups, advice)| {
            let mut snapshot = Snapshot::new(machine);
            (snapshot.id, snapshot.generation) = (head.0, head.1);
            snapshot.time = Nanos(head.2);
            snapshot.features = Features::from_bits(head.3).unwrap();
            snapshot.group_size = GroupSize::new(1 << head.4).unwrap();
            for (vcpu, (reads, writes, stall)) in snapshot.machine().clone().vcpus().zip(counters) {
                *snapshot.counters_mut(vcpu).unwrap() = Counters {
                    reads,
                    writes,
                    stall: Nanos(stall),
                };
            }
            fill(&mut snapshot, groups, advice);
            snapshot
        })
}

pub(crate) fn event() -> impl Strategy<Value = ThreadEvent> {
    let thread = || (1..=u32::MAX).prop_map(ThreadId);
    prop_oneof![
        (vcpu(), option::of(thread()))
            .prop_map(|(vcpu, thread)| ThreadEvent::Runs { vcpu, thread }),
        (thread(), vcpu()).prop_map(|(thread, by)| ThreadEvent::Starts { thread, by }),
        (thread(), option::of(vcpu())).prop_map(|(thread, by)| ThreadEvent::Wakes { thread, by }),
        thread().prop_map(|thread| ThreadEvent::Blocks { thread }),
        thread().prop_map(|thread| ThreadEvent::Exits { thread }),
    ]
}

pub(crate) fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any::<u64>().prop_map(Message::Ask),
        snapshot().prop_map(Message::from),
        (vec(event(), 0..300), any::<u32>()).prop_map(|(events, lost)| {
            let mut report = Report::default();
            report.lost = lost / 2;
            for event in events {
                report.push(event);
            }
            Message::from(report)
        }),
    ]
}
