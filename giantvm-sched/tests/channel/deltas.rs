//! What is new from one snapshot to the next.

use giantvm_core::{NodeId, VcpuId};
use giantvm_sched::channel::{Deltas, HotGroup, Sharer, Snapshot};
use giantvm_sched::schedule::{Faults, Machine, Nanos, PageGroup, ThreadId};
use proptest::prelude::*;

use crate::values::snapshot;

fn of(groups: &[(u64, u8, u32, u32, u64)]) -> Snapshot {
    let mut snapshot = Snapshot::new(Machine::new(&[2, 2]).unwrap());
    for &(group, vcpu, reads, writes, stall) in groups {
        let mut group = HotGroup::new(PageGroup(group), NodeId::ZERO);
        group.add(Sharer {
            vcpu: VcpuId::new(vcpu).unwrap(),
            reads,
            writes,
            stall: Nanos(stall),
        });
        assert!(snapshot.push_group(group));
    }
    snapshot
}

fn faults(group: u64, thread: u32, reads: u32, writes: u32, stall: u64) -> Faults {
    Faults {
        thread: ThreadId(thread),
        group: PageGroup(group),
        reads,
        writes,
        stall: Nanos(stall),
        home: NodeId::ZERO,
    }
}

#[test]
fn what_grew_is_new_and_what_began_anew_all_of_it() {
    let mut deltas = Deltas::default();
    assert_eq!(deltas.take(&of(&[(7, 3, 10, 5, 500)])), []);
    let second = deltas.take(&of(&[(7, 3, 12, 5, 700), (8, 1, 1, 0, 9)]));
    assert_eq!(second, [faults(7, 3, 2, 0, 200), faults(8, 1, 1, 0, 9)]);
    // Forgotten and known again, with less than before.
    let third = deltas.take(&of(&[(7, 3, 2, 9, 800)]));
    assert_eq!(third, [faults(7, 3, 2, 9, 800)]);
}

#[test]
fn a_group_that_others_hide_for_a_while_is_not_new_when_it_is_back() {
    let mut deltas = Deltas::default();
    deltas.take(&of(&[(7, 3, 10, 5, 500)]));
    for _ in 0..15 {
        assert_eq!(deltas.take(&of(&[])), []);
    }
    let back = deltas.take(&of(&[(7, 3, 11, 5, 600)]));
    assert_eq!(back, [faults(7, 3, 1, 0, 100)]);
    for _ in 0..16 {
        assert_eq!(deltas.take(&of(&[])), []);
    }
    let anew = deltas.take(&of(&[(7, 3, 11, 5, 600)]));
    assert_eq!(
        anew,
        [faults(7, 3, 11, 5, 600)],
        "in the end it is forgotten"
    );
}

proptest! {
    #[test]
    fn the_same_twice_is_nothing_new(snapshot in snapshot()) {
        let mut deltas = Deltas::default();
        prop_assert_eq!(deltas.take(&snapshot), []);
        let mut groups: Vec<_> = snapshot.groups().iter().map(|group| group.group).collect();
        groups.sort();
        groups.dedup();
        prop_assume!(groups.len() == snapshot.groups().len());
        prop_assert_eq!(deltas.take(&snapshot), []);
    }
}
