//! The events that are put in order together, and the edges known from the start.

use std::ops::Range;

use super::check::Model;
use super::graph::{Edge, Why};
use super::operation::Action;
use super::trail::{Event, Source, Trail, small};

/// The events of a word, of a page, or all. Events go by their place here.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// Ascending by number.
    pub events: &'a [Event],
    pub threads: usize,
    /// By event: how many writes its thread did before it.
    pub ranks: Vec<u32>,
    /// The writes by word and thread, each ascending.
    writes: Vec<u32>,
    /// Where the writes of each word and thread start, and one more.
    starts: Vec<u32>,
    first_word: u32,
}

impl<'a> Part<'a> {
    pub(super) fn new(trail: &Trail<'_>, events: &'a [Event]) -> Self {
        let threads = trail.threads();
        let words = || events.iter().map(|event| event.word);
        let first_word = words().min().unwrap_or(0);
        let count = words()
            .max()
            .map_or(0, |last| (last - first_word) as usize + 1);
        let mut part = Self {
            events,
            threads,
            ranks: Vec::with_capacity(events.len()),
            writes: Vec::new(),
            starts: vec![0; count * threads + 2],
            first_word,
        };
        let mut done = vec![0; threads];
        for event in events {
            let done = &mut done[event.thread as usize];
            part.ranks.push(*done);
            if event.action.written().is_some() {
                *done += 1;
                let list = part.list(event.word, event.thread as usize);
                part.starts[list + 2] += 1;
            }
        }
        for list in 2..part.starts.len() {
            part.starts[list] += part.starts[list - 1];
        }
        part.writes = vec![0; done.iter().sum::<u32>() as usize];
        for (at, event) in (0..).zip(events) {
            if event.action.written().is_some() {
                let list = part.list(event.word, event.thread as usize);
                let place = &mut part.starts[list + 1];
                part.writes[*place as usize] = at;
                *place += 1;
            }
        }
        part.starts.pop();
        part
    }

    /// The words, of which some may have no event here.
    pub(super) fn words(&self) -> Range<u32> {
        let count = (self.starts.len() - 1) / self.threads.max(1);
        self.first_word..self.first_word + small(count)
    }

    /// An event's word, counted from the first of the part.
    pub(super) fn word(&self, at: u32) -> usize {
        (self.events[at as usize].word - self.first_word) as usize
    }

    fn list(&self, word: u32, thread: usize) -> usize {
        (word - self.first_word) as usize * self.threads + thread
    }

    /// A thread's writes to the word of the event `at`.
    pub(super) fn writes(&self, at: u32, thread: usize) -> &[u32] {
        let list = self.word(at) * self.threads + thread;
        &self.writes[self.starts[list] as usize..self.starts[list + 1] as usize]
    }

    pub(super) fn thread(&self, at: u32) -> usize {
        self.events[at as usize].thread as usize
    }

    pub(super) fn rank(&self, at: u32) -> u32 {
        self.ranks[at as usize]
    }

    /// The place here of an event of the trail, which has to be here.
    pub(super) fn place(&self, id: u32) -> u32 {
        let all = self
            .events
            .last()
            .is_some_and(|last| last.id as usize + 1 == self.events.len());
        if all {
            return id;
        }
        let place = self.events.binary_search_by_key(&id, |event| event.id);
        small(place.expect("an event of the same word"))
    }

    /// The write that an event saw, if it saw one.
    pub(super) fn source(&self, at: u32) -> Option<u32> {
        match self.events[at as usize].source {
            Source::Nothing | Source::Initial => None,
            Source::Write(id) => Some(self.place(id)),
        }
    }

    /// What the model keeps of the threads' own order, and who saw whom.
    pub(super) fn edges(&self, model: Model) -> Vec<Edge> {
        let mut edges = Vec::with_capacity(self.events.len() * 3);
        let mut thread = None;
        let (mut read, mut write) = (None, None);
        for (to, event) in (0..).zip(self.events) {
            if thread.replace(event.thread) != Some(event.thread) {
                (read, write) = (None, None);
            }
            let mut after = |from: Option<u32>| {
                edges.extend(from.map(|from| Edge {
                    from,
                    to,
                    why: Why::Program,
                }));
            };
            match (model, event.action) {
                // One line of events a thread: `read` is its end.
                (Model::Sequential, _) => after(read.replace(to)),
                // Two lines, reads and writes; a write also waits for reads, and reads for fences.
                (Model::TotalStoreOrder, Action::Load(_)) => after(read.replace(to)),
                (Model::TotalStoreOrder, Action::Store(_)) => {
                    after(read);
                    after(write.replace(to));
                }
                (Model::TotalStoreOrder, Action::Swap { .. }) => {
                    after(read.replace(to));
                    after(write.replace(to));
                }
            }
            if let Some(from) = self.source(to) {
                // A thread may see its own write before others do. What it saw of its own future
                // must not be overlooked.
                if self.thread(from) != self.thread(to) || from >= to {
                    edges.push(Edge {
                        from,
                        to,
                        why: Why::Seen,
                    });
                }
            }
        }
        edges
    }
}
