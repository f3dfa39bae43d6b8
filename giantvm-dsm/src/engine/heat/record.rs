//! Heat that the pump writes down and other threads look at.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Instant;

use giantvm_core::{NodeId, PageIndex};

use super::super::hooks::ServedFault;
use super::{Heat, Note, PageHeat, Stalls, noted};
use crate::protocol::{Access, Command, PageMessage, Tick};

/// Notes that are kept before they are counted.
const MOST_NOTES: usize = 256;

/// The pump's notes; one that is off keeps none.
#[derive(Debug, Default)]
pub(in crate::engine) struct Record {
    notes: Vec<Note>,
    shared: Option<Arc<Shared>>,
}

/// A handle to what a node knows of its pages.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Gauge(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    /// What times are counted from.
    origin: Instant,
    heat: Mutex<Heat>,
}

impl Record {
    /// One whose [`Tick`]s are counted from `origin`.
    pub(in crate::engine) fn new(origin: Instant) -> Self {
        let heat = Mutex::new(Heat::new());
        Self {
            notes: Vec::with_capacity(MOST_NOTES),
            shared: Some(Arc::new(Shared { origin, heat })),
        }
    }

    pub(in crate::engine) fn gauge(&self) -> Gauge {
        Gauge(self.shared.clone())
    }

    /// Notes that a local thread asks for `page`.
    pub(in crate::engine) fn faulted(&mut self, page: PageIndex, access: Access) {
        self.note(Note::Asked(page, access));
    }

    /// Notes what the commands of one input do to pages; `from` sent the message that they answer.
    pub(in crate::engine) fn carried_out<M: PageMessage>(
        &mut self,
        commands: &[Command<M>],
        from: Option<NodeId>,
    ) {
        for at in 0..commands.len() {
            if let Some(note) = noted(commands, at, from) {
                self.note(note);
            }
        }
    }

    /// Notes that a local thread waited for another node.
    pub(in crate::engine) fn served(&mut self, fault: ServedFault) {
        self.note(Note::Served(fault));
    }

    /// Whether something was noted that is to be counted.
    pub(in crate::engine) const fn has_notes(&self) -> bool {
        !self.notes.is_empty()
    }

    /// Counts what was noted, unless a thread is looking: the pump does not wait for it. Call it
    /// when nothing urgent is left to do.
    pub(in crate::engine) fn count(&mut self, now: Tick) {
        if self.notes.is_empty() {
            return;
        }
        let Some(shared) = &self.shared else {
            return;
        };
        let mut heat = match shared.heat.try_lock() {
            Ok(heat) => heat,
            Err(TryLockError::Poisoned(heat)) => heat.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        for note in self.notes.drain(..) {
            heat.count(now, note);
        }
    }

    /// What finds no room is not counted.
    fn note(&mut self, note: Note) {
        if self.shared.is_some() && self.notes.len() < MOST_NOTES {
            self.notes.push(note);
        }
    }
}

impl Gauge {
    /// The `most` hottest pages, the hottest first.
    pub(in crate::engine) fn hottest(&self, most: usize) -> Vec<PageHeat> {
        let mut pages = self.look(Heat::pages).unwrap_or_default();
        pages.sort_unstable_by_key(|page| (Reverse(page.heat()), page.page));
        pages.truncate(most);
        pages
    }

    /// Who waited for other nodes, and the `most` groups that were waited for most often of late.
    pub(in crate::engine) fn stalls(&self, most: usize) -> Stalls {
        self.look(|heat, now| heat.stalls(now, most))
            .unwrap_or_default()
    }

    fn look<T>(&self, at: impl FnOnce(&mut Heat, Tick) -> T) -> Option<T> {
        let shared = self.0.as_ref()?;
        let now = shared.origin.elapsed().as_nanos();
        let now = Tick(u64::try_from(now).unwrap_or(u64::MAX));
        let mut heat = shared.heat.lock().unwrap_or_else(PoisonError::into_inner);
        Some(at(&mut heat, now))
    }
}

/// A look at who waits for what on a node, for as long as it runs and after; see
/// [`Dsm::stalls`](crate::engine::Dsm::stalls).
#[derive(Debug, Clone)]
pub struct StallGauge(pub(in crate::engine) Gauge);

impl StallGauge {
    /// Who waited for other nodes, and the `most` groups that were waited for most often of late.
    #[must_use]
    pub fn stalls(&self, most: usize) -> Stalls {
        self.0.stalls(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record::new(Instant::now())
    }

    #[test]
    fn the_pump_does_not_wait_for_a_thread_that_looks() {
        let (mut record, now) = (record(), Tick(0));
        let shared = record.shared.clone().unwrap();
        record.faulted(PageIndex(1), Access::Read);
        let looking = shared.heat.lock().unwrap();
        record.count(now);
        drop(looking);
        assert_eq!(record.gauge().hottest(1), [], "not yet");
        record.count(now);
        assert_eq!(record.gauge().hottest(1)[0].reads, 1);
    }

    #[test]
    fn notes_that_no_one_counts_are_bounded() {
        let mut record = record();
        let room = record.notes.capacity();
        for page in 0..10_000 {
            record.faulted(PageIndex(page), Access::Read);
        }
        assert_eq!(
            (record.notes.len(), record.notes.capacity()),
            (MOST_NOTES, room)
        );
    }

    #[test]
    fn the_hottest_come_first_and_the_lowest_of_equals() {
        let (mut record, mut off) = (record(), Record::default());
        for page in [9, 3, 5, 5] {
            record.faulted(PageIndex(page), Access::Write);
            off.faulted(PageIndex(page), Access::Write);
        }
        record.count(Tick(0));
        off.count(Tick(0));
        let order = |most| {
            let pages = record.gauge().hottest(most);
            pages.iter().map(|heat| heat.page.0).collect::<Vec<_>>()
        };
        assert_eq!(order(20), [5, 3, 9]);
        assert_eq!(order(2), [5, 3]);
        assert_eq!(off.gauge().hottest(20), []);
    }
}
