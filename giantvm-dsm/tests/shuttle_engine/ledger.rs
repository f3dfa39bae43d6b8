//! What happens at all nodes together, to tell whether a test's race happened.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use giantvm_core::{NodeId, PageIndex};

/// The races that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Race {
    /// Two nodes that hold a page for reading wait for the right to write it.
    TwoUpgrades,
    /// A copy is taken from a node whose fault on the page is not answered.
    TakenWhileWaiting,
    /// A node faults on a page that was taken from it for one that still waits.
    FaultWhileTaken,
    /// A node waits for a page that another has pinned.
    WaitsForPinned,
    /// A node wants to be rid of a page that another waits for.
    EvictedWhileAsked,
    /// A peer is lost to a node that waits for a page.
    LostWhileWaiting,
}

/// How often each race happened, over all schedules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<[AtomicU64; 6]>);

impl Seen {
    /// # Panics
    /// If the race never happened: then the test has shown nothing.
    pub(crate) fn expect(&self, race: Race) {
        let times = self.0[race as usize].load(Ordering::Relaxed);
        assert!(times > 0, "{race:?} never happened");
    }
}

#[derive(Debug, Default)]
struct State {
    /// Who waits for what, and whether it has a copy to read meanwhile.
    waiting: BTreeSet<(PageIndex, NodeId, bool)>,
    /// Copies taken away while another node waited for the page.
    taken: BTreeSet<(PageIndex, NodeId)>,
}

/// The state of one run. Its lock is the standard one: no thread is switched under it.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    state: Arc<Mutex<State>>,
    seen: Seen,
}

impl Ledger {
    pub(crate) fn new(seen: &Seen) -> Self {
        Self {
            state: Arc::default(),
            seen: seen.clone(),
        }
    }

    fn happened(&self, race: Race, whether: bool) {
        self.seen.0[race as usize].fetch_add(u64::from(whether), Ordering::Relaxed);
    }

    /// Whether a node other than `node` waits for `page`.
    fn is_wanted(state: &State, page: PageIndex, node: NodeId) -> bool {
        let of_another = |&(wanted, by, _): &_| wanted == page && by != node;
        state.waiting.iter().any(of_another)
    }

    pub(crate) fn faulted(&self, node: NodeId, page: PageIndex, has_copy: bool) {
        let mut state = self.state.lock().unwrap();
        state.waiting.insert((page, node, has_copy));
        let upgrades = |&&(wanted, _, copy): &&_| wanted == page && copy;
        self.happened(
            Race::TwoUpgrades,
            state.waiting.iter().filter(upgrades).count() > 1,
        );
        self.happened(Race::FaultWhileTaken, state.taken.contains(&(page, node)));
    }

    pub(crate) fn took(&self, node: NodeId, page: PageIndex) {
        let mut state = self.state.lock().unwrap();
        let waits = |&(wanted, by, _): &_| (wanted, by) == (page, node);
        self.happened(Race::TakenWhileWaiting, state.waiting.iter().any(waits));
        if Self::is_wanted(&state, page, node) {
            state.taken.insert((page, node));
        }
    }

    pub(crate) fn woke(&self, node: NodeId, page: PageIndex) {
        let mut state = self.state.lock().unwrap();
        let others = |&(wanted, by, _): &_| (wanted, by) != (page, node);
        state.waiting.retain(others);
        state.taken.retain(|&(taken, _)| taken != page);
    }

    pub(crate) fn evicts(&self, node: NodeId, page: PageIndex) {
        let state = self.state.lock().unwrap();
        self.happened(Race::EvictedWhileAsked, Self::is_wanted(&state, page, node));
    }

    pub(crate) fn lost(&self, node: NodeId) {
        let state = self.state.lock().unwrap();
        let waits = state.waiting.iter().any(|&(_, by, _)| by == node);
        self.happened(Race::LostWhileWaiting, waits);
    }

    /// A node has `page` pinned.
    pub(crate) fn pinned(&self, node: NodeId, page: PageIndex) {
        let state = self.state.lock().unwrap();
        self.happened(Race::WaitsForPinned, Self::is_wanted(&state, page, node));
    }
}
