//! Which writes come before and after each event.

use std::ops::Range;

use super::graph::Graph;
use super::part::Part;

/// For every event and thread, the thread's writes before the event and after it, as ranks: the
/// writes of a thread are in its own order in every model.
#[derive(Debug)]
pub(super) struct Clocks {
    threads: usize,
    before: Vec<u32>,
    after: Vec<u32>,
}

impl Clocks {
    /// `order` is one of the whole graph.
    pub(super) fn new(part: &Part<'_>, graph: &Graph, order: &[u32]) -> Self {
        let threads = part.threads;
        let mut clocks = Self {
            threads,
            before: vec![0; graph.nodes() * threads],
            after: vec![u32::MAX; graph.nodes() * threads],
        };
        let writes = |at: u32| part.events[at as usize].action.written().is_some();
        for &from in order {
            for edge in graph.from(from) {
                let to = edge.to as usize * threads;
                for thread in 0..threads {
                    let known = clocks.before[from as usize * threads + thread];
                    let before = &mut clocks.before[to + thread];
                    *before = known.max(*before);
                }
                if writes(from) {
                    let before = &mut clocks.before[to + part.thread(from)];
                    *before = (part.rank(from) + 1).max(*before);
                }
            }
        }
        for &from in order.iter().rev() {
            let at = from as usize * threads;
            for edge in graph.from(from) {
                for thread in 0..threads {
                    let known = clocks.after[edge.to as usize * threads + thread];
                    let after = &mut clocks.after[at + thread];
                    *after = known.min(*after);
                }
                if writes(edge.to) {
                    let after = &mut clocks.after[at + part.thread(edge.to)];
                    *after = part.rank(edge.to).min(*after);
                }
            }
        }
        clocks
    }

    /// How many of the thread's writes come before the event.
    pub(super) fn before(&self, at: u32, thread: usize) -> u32 {
        self.before[at as usize * self.threads + thread]
    }

    /// The rank of the thread's first write that comes after the event.
    pub(super) fn after(&self, at: u32, thread: usize) -> u32 {
        self.after[at as usize * self.threads + thread]
    }

    /// Whether other writes come before the event by these clocks than by others.
    pub(super) fn before_differs(&self, other: &Self, at: u32) -> bool {
        self.before[self.row(at)] != other.before[self.row(at)]
    }

    /// Whether other writes come after the event by these clocks than by others.
    pub(super) fn after_differs(&self, other: &Self, at: u32) -> bool {
        self.after[self.row(at)] != other.after[self.row(at)]
    }

    fn row(&self, at: u32) -> Range<usize> {
        let start = at as usize * self.threads;
        start..start + self.threads
    }

    /// Whether the write `first` comes before the event `second`.
    pub(super) fn ordered(&self, part: &Part<'_>, first: u32, second: u32) -> bool {
        part.rank(first) < self.before(second, part.thread(first))
    }
}
