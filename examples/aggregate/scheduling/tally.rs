//! What threads waited for since the conductor was last told.

use std::collections::HashMap;
use std::time::Duration;

use giantvm_core::NodeId;
use giantvm_dsm::engine::FaultKind;
use giantvm_sched::schedule::{Faults, Nanos, PageGroup, ThreadId};

use super::letter::MOST;

/// Remote faults by thread and group of pages, of which it keeps as many as one letter takes. What finds
/// no room is not counted: there are more of those that matter.
#[derive(Debug, Default)]
pub(super) struct Tally(HashMap<(ThreadId, PageGroup), Faults>);

impl Tally {
    /// Counts one. Costs nothing that grows with what is known.
    pub(super) fn count(
        &mut self,
        thread: ThreadId,
        group: PageGroup,
        kind: FaultKind,
        stall: Duration,
        home: NodeId,
    ) {
        let key = (thread, group);
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            return;
        }
        let faults = self.0.entry(key).or_insert(Faults {
            thread,
            group,
            reads: 0,
            writes: 0,
            stall: Nanos(0),
            home,
        });
        match kind {
            FaultKind::RemoteRead => faults.reads = faults.reads.saturating_add(1),
            FaultKind::RemoteWrite | FaultKind::Upgrade => {
                faults.writes = faults.writes.saturating_add(1);
            }
            FaultKind::Local => {}
        }
        faults.stall = faults.stall.plus(stall.into());
    }

    /// All that was counted, in the order of threads and groups; then it is empty.
    pub(super) fn take(&mut self) -> Vec<Faults> {
        let mut all: Vec<_> = self.0.drain().map(|(_, faults)| faults).collect();
        all.sort_unstable_by_key(|faults| (faults.thread, faults.group));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(tally: &mut Tally, thread: u32, group: u64, kind: FaultKind) {
        let (thread, group) = (ThreadId(thread), PageGroup(group));
        tally.count(thread, group, kind, Duration::from_nanos(5), NodeId::ZERO);
    }

    #[test]
    fn faults_are_counted_by_thread_and_group_and_told_once() {
        let mut tally = Tally::default();
        count(&mut tally, 2, 7, FaultKind::RemoteRead);
        count(&mut tally, 2, 7, FaultKind::Upgrade);
        count(&mut tally, 2, 7, FaultKind::RemoteWrite);
        count(&mut tally, 1, 7, FaultKind::RemoteRead);
        let told = tally.take().into_iter();
        let told: Vec<_> = told
            .map(|f| (f.thread.0, f.reads, f.writes, f.stall.0))
            .collect();
        assert_eq!(told, [(1, 1, 0, 5), (2, 1, 2, 15)]);
        assert_eq!(tally.take(), []);
    }

    #[test]
    fn a_tally_is_bounded_and_goes_on_counting_what_it_knows() {
        let mut tally = Tally::default();
        for group in 0..10_000 {
            count(&mut tally, 1, group, FaultKind::RemoteRead);
        }
        count(&mut tally, 1, 3, FaultKind::RemoteRead);
        let told = tally.take();
        assert_eq!((told.len(), told[3].reads), (MOST, 2));
    }
}
