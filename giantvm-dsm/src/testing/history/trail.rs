//! A history as one list, and which write each read saw.

use super::History;
use super::operation::{Action, Location, Step};
use super::violation::Violation;

/// Most operations times threads: a check remembers 16 bytes for each, besides some hundred for
/// each operation.
const LIMIT: usize = 1 << 25;

/// What an operation read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// It only wrote.
    Nothing,
    /// The zero of the start.
    Initial,
    /// What the event of this number wrote.
    Write(u32),
}

/// An operation, with its thread and word as small numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    /// Its place among all events: threads one after the other.
    pub id: u32,
    pub thread: u32,
    pub word: u32,
    pub action: Action,
    pub source: Source,
}

/// All events of a history, with their sources.
#[derive(Debug)]
pub(super) struct Trail<'a> {
    history: &'a History,
    /// The words in use, ascending: an event's word is an index here.
    pub words: Vec<Location>,
    /// Ascending by number.
    pub events: Vec<Event>,
    /// The number of each thread's first event.
    starts: Vec<usize>,
}

impl<'a> Trail<'a> {
    pub(super) fn new(history: &'a History) -> Result<Self, Violation> {
        let threads = history.threads.len();
        let operations = history.operations();
        let too_large = Violation::TooLarge {
            operations,
            threads,
        };
        if operations.saturating_mul(threads) > LIMIT {
            return Err(too_large);
        }
        let all = || history.threads.iter().flatten();
        let mut words: Vec<_> = all().map(|operation| operation.location).collect();
        words.sort_unstable();
        words.dedup();
        let mut trail = Self {
            history,
            words,
            events: Vec::new(),
            starts: Vec::new(),
        };
        trail.events.reserve_exact(operations);
        for (thread, operations) in history.threads.iter().enumerate() {
            trail.starts.push(trail.events.len());
            for operation in operations {
                let place = trail.words.binary_search(&operation.location);
                trail.events.push(Event {
                    id: small(trail.events.len()),
                    thread: small(thread),
                    word: small(place.expect("all words are listed")),
                    action: operation.action,
                    source: Source::Nothing,
                });
            }
        }
        trail.find_sources()?;
        Ok(trail)
    }

    fn find_sources(&mut self) -> Result<(), Violation> {
        let written = |event: &Event| {
            event
                .action
                .written()
                .map(|value| (event.word, value, event.id))
        };
        let mut writes: Vec<_> = self.events.iter().filter_map(written).collect();
        writes.sort_unstable();
        let repeated = writes
            .windows(2)
            .find(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1));
        let zero = writes.iter().find(|write| write.1 == 0);
        if let Some(&(_, _, id)) = repeated.map(|pair| &pair[1]).or(zero) {
            return Err(Violation::NotUnique(self.step(id)));
        }
        for at in 0..self.events.len() {
            let Event {
                word, action, id, ..
            } = self.events[at];
            self.events[at].source = match action.seen() {
                None => Source::Nothing,
                Some(0) => Source::Initial,
                Some(value) => {
                    let place =
                        writes.binary_search_by_key(&(word, value), |write| (write.0, write.1));
                    Source::Write(writes[place.map_err(|_| Violation::Phantom(self.step(id)))?].2)
                }
            };
        }
        self.find_lost_updates()
    }

    fn find_lost_updates(&self) -> Result<(), Violation> {
        let seen = |event: &Event| match event.action {
            Action::Swap { previous, .. } => Some((event.word, previous, event.id)),
            Action::Load(_) | Action::Store(_) => None,
        };
        let mut seen: Vec<_> = self.events.iter().filter_map(seen).collect();
        seen.sort_unstable();
        let twice = seen
            .windows(2)
            .find(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1));
        match twice {
            Some(pair) => Err(Violation::LostUpdate(
                self.step(pair[0].2),
                self.step(pair[1].2),
            )),
            None => Ok(()),
        }
    }

    /// How many threads there are.
    pub(super) fn threads(&self) -> usize {
        self.starts.len()
    }

    /// The event of this number as it was recorded.
    pub(super) fn step(&self, id: u32) -> Step {
        let id = id as usize;
        let thread = self.starts.partition_point(|&start| start <= id) - 1;
        // Threads without operations start where the next one does.
        let index = id - self.starts[thread];
        Step {
            thread,
            index,
            operation: self.history.threads[thread][index],
        }
    }
}

pub(super) fn small(number: usize) -> u32 {
    u32::try_from(number).expect("smaller than the limit")
}
