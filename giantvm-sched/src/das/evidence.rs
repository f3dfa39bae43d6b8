//! What threads were seen to wait for, in tables of fixed size.

use std::collections::BTreeMap;

use giantvm_core::NodeId;

use super::decay::{Decay, Fading};
use crate::schedule::{Faults, PageGroup, ThreadId};

/// Groups that are known of one thread at most; the one it waits for least gives way.
pub(super) const MAX_USES: usize = 256;
/// Faults are counted in parts of this, so that few of them do not fade to none at once.
const SCALE: u64 = 256;
/// The most that one report can say, in ns: a minute.
const LONGEST_STALL: u64 = 60_000_000_000;
/// A use with less stall than this is forgotten, in ns: less than any remote fault takes.
const LEAST: u64 = 1_000;

/// How one thread uses one group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) group: PageGroup,
    pub(super) reads: Fading,
    pub(super) writes: Fading,
    pub(super) stall: Fading,
    /// The group's home, as last reported.
    pub(super) home: NodeId,
    /// Whether a move of the home was wished for: that happens once.
    pub(super) rehomed: bool,
    /// Whether faults came in two different periods. What is touched once is not a use.
    pub(super) confirmed: bool,
    /// The step up to which this has faded.
    faded: u64,
    /// The step of the last fault.
    last: u64,
}

/// The uses of all threads.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    decay: Decay,
    memory: u64,
    threads: BTreeMap<ThreadId, Vec<Use>>,
}

impl Evidence {
    pub(super) fn new(decay: Decay, memory: u32) -> Self {
        Self {
            decay,
            memory: memory.into(),
            threads: BTreeMap::new(),
        }
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    pub(super) fn uses(&self, thread: ThreadId) -> &[Use] {
        self.threads.get(&thread).map_or(&[], Vec::as_slice)
    }

    pub(super) fn forget(&mut self, thread: ThreadId) {
        self.threads.remove(&thread);
    }

    /// Counts faults at `step`. Its cost is bounded by [`MAX_USES`].
    pub(super) fn count(&mut self, step: u64, faults: &Faults) {
        if faults.reads == 0 && faults.writes == 0 {
            return;
        }
        let uses = self.threads.entry(faults.thread).or_default();
        let known = uses.iter().position(|of| of.group == faults.group);
        let of = match known {
            Some(at) => &mut uses[at],
            None => admit(uses, self.decay, step, faults),
        };
        // A fault contradicts that there was nothing to be told: from now on it fades as usual.
        of.fade(self.decay, step, 1);
        of.confirmed |= known.is_some() && of.last < step;
        of.last = step;
        of.home = faults.home;
        of.reads.add(u64::from(faults.reads) * SCALE);
        of.writes.add(u64::from(faults.writes) * SCALE);
        of.stall.add(faults.stall.0.min(LONGEST_STALL));
    }

    /// Lets all fade up to `step`: slowly where `is_gathered` says that a group cannot be faulted
    /// on, as all its users are together.
    pub(super) fn fade(&mut self, step: u64, mut is_gathered: impl FnMut(PageGroup) -> bool) {
        for uses in self.threads.values_mut() {
            for of in uses.iter_mut() {
                let slowness = if is_gathered(of.group) {
                    self.memory
                } else {
                    1
                };
                of.fade(self.decay, step, slowness);
            }
            uses.retain(|of| of.stall.sum() >= LEAST);
        }
        self.threads.retain(|_, uses| !uses.is_empty());
    }

    /// Takes what a thread waited for to be so many thousandths of what was counted.
    pub(super) fn scale(&mut self, thread: ThreadId, milli: u64) {
        for of in self.threads.get_mut(&thread).into_iter().flatten() {
            let stall = u128::from(of.stall.sum()) * u128::from(milli) / 1000;
            of.stall = Fading::of(u64::try_from(stall).unwrap_or(u64::MAX));
        }
    }

    /// Notes that a group's home was asked to move.
    pub(super) fn rehome(&mut self, group: PageGroup, to: NodeId) {
        let uses = self.threads.values_mut().flatten();
        for of in uses.filter(|of| of.group == group) {
            (of.home, of.rehomed) = (to, true);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ThreadId, &[Use])> {
        self.threads
            .iter()
            .map(|(&thread, uses)| (thread, uses.as_slice()))
    }
}

/// A place for a new use: a free one, or that of what the thread waits for least.
fn admit<'a>(uses: &'a mut Vec<Use>, decay: Decay, step: u64, faults: &Faults) -> &'a mut Use {
    let new = Use {
        group: faults.group,
        reads: Fading::default(),
        writes: Fading::default(),
        stall: Fading::default(),
        home: faults.home,
        rehomed: false,
        confirmed: false,
        faded: step,
        last: step,
    };
    let left = |of: &Use| {
        decay
            .after(step.saturating_sub(of.faded))
            .of(of.stall.sum())
    };
    let coldest = (0..uses.len()).min_by_key(|&at| (left(&uses[at]), uses[at].group));
    match coldest {
        Some(at) if uses.len() >= MAX_USES => {
            uses[at] = new;
            &mut uses[at]
        }
        _ => {
            uses.push(new);
            let last = uses.len() - 1;
            &mut uses[last]
        }
    }
}

impl Use {
    /// Fades up to `step`, one time in so many steps.
    fn fade(&mut self, decay: Decay, step: u64, slowness: u64) {
        let times = step.saturating_sub(self.faded) / slowness;
        if times > 0 {
            self.faded += times * slowness;
            let left = decay.after(times);
            for sum in [&mut self.reads, &mut self.writes, &mut self.stall] {
                sum.fade(left);
            }
        }
    }

    /// The step of its last fault.
    pub(super) const fn last_fault(&self) -> u64 {
        self.last
    }

    /// Its faults of late, in parts of a fault.
    pub(super) const fn weight(&self) -> u64 {
        self.reads.sum() + self.writes.sum()
    }

    /// Its faults of late.
    pub(super) const fn faults(&self) -> u64 {
        self.weight() / SCALE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Nanos;

    fn faults(thread: u32, group: u64, stall: u64) -> Faults {
        Faults {
            thread: ThreadId(thread),
            group: PageGroup(group),
            reads: 1,
            writes: 1,
            stall: Nanos(stall),
            home: NodeId::ZERO,
        }
    }

    fn evidence() -> Evidence {
        Evidence::new(Decay::new(4), 8)
    }

    fn stall(evidence: &Evidence) -> u64 {
        evidence.uses(ThreadId(1))[0].stall.sum()
    }

    #[test]
    fn what_is_touched_in_one_period_only_is_no_use() {
        let mut evidence = evidence();
        for _ in 0..9 {
            evidence.count(5, &faults(1, 7, 20_000));
        }
        assert!(!evidence.uses(ThreadId(1))[0].confirmed);
        evidence.count(6, &faults(1, 7, 20_000));
        assert!(evidence.uses(ThreadId(1))[0].confirmed);
    }

    #[test]
    fn tables_are_bounded_and_the_coldest_gives_way() {
        let mut evidence = evidence();
        evidence.count(0, &faults(1, 999, 2_000));
        for group in 0..10_000 {
            evidence.count(0, &faults(1, group, 50_000 + group));
        }
        let uses = evidence.uses(ThreadId(1));
        assert_eq!(uses.len(), MAX_USES);
        assert!(
            uses.iter()
                .all(|of| of.group != PageGroup(999) || of.stall.sum() > 2_000)
        );
        let hot = faults(1, 77_777, 9_000_000);
        evidence.count(0, &hot);
        evidence.count(1, &faults(1, 88_888, 20_000));
        let uses = evidence.uses(ThreadId(1));
        assert!(uses.iter().any(|of| of.group == hot.group));
    }

    #[test]
    fn what_cannot_be_faulted_on_is_remembered_longer() {
        let (mut open, mut gathered) = (evidence(), evidence());
        for evidence in [&mut open, &mut gathered] {
            evidence.count(0, &faults(1, 7, 1 << 20));
        }
        for step in 1..=32 {
            open.fade(step, |_| false);
            gathered.fade(step, |_| true);
        }
        assert!(stall(&gathered).abs_diff(1 << 19) < 9);
        assert!(stall(&open).abs_diff(1 << 12) < 99);
        for step in 33..2000 {
            gathered.fade(step, |_| true);
        }
        assert!(gathered.is_empty(), "in the end it is forgotten, too");
    }

    #[test]
    fn nonsense_is_bounded() {
        let mut evidence = evidence();
        let wild = Faults {
            reads: u32::MAX,
            writes: u32::MAX,
            ..faults(1, 7, u64::MAX)
        };
        for step in 0..10_000 {
            evidence.count(step % 3, &wild);
        }
        evidence.fade(u64::MAX, |_| true);
        assert!(evidence.is_empty());
    }
}
