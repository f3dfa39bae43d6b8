//! What is new from one snapshot to the next.

use std::collections::BTreeMap;

use giantvm_core::VcpuId;

use super::{Sharer, Snapshot};
use crate::schedule::{Faults, Nanos, PageGroup, ThreadId};

/// Snapshots that a group may be missing from before it counts as one that was never there: others may
/// be hotter for a while.
const MEMORY: u64 = 16;

/// Tells what happened since the last snapshot, as faults of vCPUs in groups.
///
/// Bounded by what 16 snapshots may have.
///
/// ```
/// use giantvm_core::{NodeId, VcpuId};
/// use giantvm_sched::channel::{Deltas, HotGroup, Sharer, Snapshot};
/// use giantvm_sched::schedule::{Machine, Nanos, PageGroup};
///
/// let of = |reads| {
///     let mut snapshot = Snapshot::new(Machine::new(&[1, 1]).unwrap());
///     let mut group = HotGroup::new(PageGroup(3), NodeId::ZERO);
///     group.add(Sharer { vcpu: VcpuId::BOOT, reads, writes: 0, stall: Nanos(u64::from(reads) * 1000) });
///     snapshot.push_group(group);
///     snapshot
/// };
/// let mut deltas = Deltas::default();
/// assert_eq!(deltas.take(&of(10)), [], "what was before is not new");
/// assert_eq!(deltas.take(&of(14))[0].reads, 4);
/// assert_eq!(deltas.take(&of(14)), []);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Deltas {
    /// What was last told, and in which snapshot.
    last: BTreeMap<(PageGroup, VcpuId), (Sharer, u64)>,
    /// How many snapshots there were.
    taken: u64,
}

impl Deltas {
    /// What is new in `snapshot`; nothing the first time. A vCPU's number stands for its thread.
    ///
    /// A count that is less than before began anew, so all of it is new.
    pub fn take(&mut self, snapshot: &Snapshot) -> Vec<Faults> {
        let mut new = Vec::new();
        let is_first = self.taken == 0;
        self.taken += 1;
        for group in snapshot.groups() {
            for sharer in group.sharers() {
                let told = (*sharer, self.taken);
                let last = self.last.insert((group.group, sharer.vcpu), told);
                let since = since(sharer, last.map(|(last, _)| last));
                if !is_first && (since.reads > 0 || since.writes > 0) {
                    new.push(Faults {
                        thread: ThreadId::from(sharer.vcpu),
                        group: group.group,
                        reads: since.reads,
                        writes: since.writes,
                        stall: since.stall,
                        home: group.home,
                    });
                }
            }
        }
        let taken = self.taken;
        self.last.retain(|_, (_, told)| taken - *told < MEMORY);
        new
    }
}

fn since(now: &Sharer, last: Option<Sharer>) -> Sharer {
    let grew = |last: &Sharer| {
        last.reads <= now.reads && last.writes <= now.writes && last.stall <= now.stall
    };
    match last.filter(grew) {
        None => *now,
        Some(last) => Sharer {
            vcpu: now.vcpu,
            reads: now.reads - last.reads,
            writes: now.writes - last.writes,
            stall: Nanos(now.stall.0 - last.stall.0),
        },
    }
}
