//! Heat that the pump notes and other threads look at.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Instant;

use giantvm_core::{NodeId, PageIndex};

use super::{Heat, PageHeat, concern};
use crate::protocol::{Access, Command, PageMessage, Tick};

/// A handle to what a node knows of its pages; one that is off notes nothing.
///
/// The pump never waits for a thread that looks: what happens meanwhile is not noted.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct Gauge(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    origin: Instant,
    heat: Mutex<Heat>,
}

impl Gauge {
    pub(in crate::engine) fn new(on: bool) -> Self {
        let shared = || Shared {
            origin: Instant::now(),
            heat: Mutex::new(Heat::new()),
        };
        Self(on.then(|| Arc::new(shared())))
    }

    /// Notes that a local thread asks for `page`.
    pub(in crate::engine) fn faulted(&self, page: PageIndex, access: Access) {
        self.note(|heat, now| heat.faulted(now, page, access));
    }

    /// Notes what the commands of one input do to pages; `from` sent the message that they answer.
    pub(in crate::engine) fn carried_out<M: PageMessage>(
        &self,
        commands: &[Command<M>],
        from: Option<NodeId>,
    ) {
        if concern(commands) {
            self.note(|heat, now| heat.carried_out(now, commands, from));
        }
    }

    /// The `most` hottest pages, the hottest first.
    pub(in crate::engine) fn hottest(&self, most: usize) -> Vec<PageHeat> {
        let Some(shared) = &self.0 else {
            return Vec::new();
        };
        let mut heat = shared.heat.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pages = heat.pages(shared.now());
        drop(heat);
        pages.sort_unstable_by_key(|page| (Reverse(page.heat()), page.page));
        pages.truncate(most);
        pages
    }

    fn note(&self, note: impl FnOnce(&mut Heat, Tick)) {
        let Some(shared) = &self.0 else {
            return;
        };
        let now = shared.now();
        match shared.heat.try_lock() {
            Ok(mut heat) => note(&mut heat, now),
            Err(TryLockError::Poisoned(heat)) => note(&mut heat.into_inner(), now),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

impl Shared {
    fn now(&self) -> Tick {
        Tick(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pump_does_not_wait_for_a_thread_that_looks() {
        let gauge = Gauge::new(true);
        let note = || gauge.faulted(PageIndex(1), Access::Read);
        note();
        let looking = gauge.0.as_ref().unwrap().heat.lock().unwrap();
        note();
        drop(looking);
        assert_eq!(gauge.hottest(1)[0].reads, 1, "one was not noted");
    }

    #[test]
    fn the_hottest_come_first_and_the_lowest_of_equals() {
        let gauge = Gauge::new(true);
        for page in [9, 3, 5, 5] {
            gauge.faulted(PageIndex(page), Access::Write);
        }
        let order = |most| {
            gauge
                .hottest(most)
                .iter()
                .map(|heat| heat.page.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(order(20), [5, 3, 9]);
        assert_eq!(order(2), [5, 3]);
        assert_eq!(Gauge::default().hottest(20), []);
    }
}
