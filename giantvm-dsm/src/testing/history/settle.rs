//! The order of the writes to each word, as far as the reads betray it.

use super::check::Model;
use super::clocks::Clocks;
use super::cycle;
use super::graph::{Edge, Graph, Why};
use super::part::Part;
use super::trail::Source;

/// Most rounds of a check. A history of a real memory needs a handful.
const ROUNDS: usize = 200;

/// Why a part was not settled.
#[derive(Debug)]
pub(super) enum Stuck {
    /// On this cycle.
    Cycle(Vec<Edge>),
    /// After this many rounds.
    Rounds(usize),
}

/// What was found out about a part in which there is no cycle.
#[derive(Debug)]
pub(super) struct Settled {
    /// All that was found out about reads and writes to the same word, given edges included, and
    /// about writes to the same word as edges from one to the other.
    pub edges: Vec<Edge>,
    /// By word of the part: whether its writes are in one line.
    pub lined: Vec<bool>,
}

/// Adds to the edges until nothing follows any more. Words that `known` names are left alone: all
/// that their reads betray is among `given`.
pub(super) fn settle(
    part: &Part<'_>,
    model: Model,
    given: Vec<Edge>,
    known: impl Fn(u32) -> bool,
) -> Result<Settled, Stuck> {
    let mut edges = part.edges(model);
    let own = edges.len();
    edges.extend(given);
    let open = |at: &u32| !known(part.events[*at as usize].word);
    let readers: Vec<u32> = (0..)
        .zip(part.events)
        .filter(|(_, event)| event.source != Source::Nothing)
        .map(|(at, _)| at)
        .filter(open)
        .collect();
    let mut last: Option<Clocks> = None;
    for _ in 0..ROUNDS {
        let graph = Graph::new(part.events.len(), &edges);
        let order = graph.order();
        if order.len() < graph.nodes() {
            return Err(Stuck::Cycle(cycle::shortest(&graph)));
        }
        if readers.is_empty() {
            let lined = vec![true; part.words().len()];
            return Ok(Settled {
                edges: edges.split_off(own),
                lined,
            });
        }
        let clocks = Clocks::new(part, &graph, &order);
        let found = edges.len();
        for &reader in &readers {
            let source = part.source(reader);
            // What follows from the same clocks was found in the last round.
            if last.as_ref().is_none_or(|last| {
                last.before_differs(&clocks, reader)
                    || source.is_some_and(|source| last.after_differs(&clocks, source))
            }) {
                infer(part, &clocks, reader, source, &mut edges);
            }
        }
        if edges.len() == found {
            let mut edges = edges.split_off(own);
            let lined = line_up(part, &clocks, &order, &mut edges);
            return Ok(Settled { edges, lined });
        }
        last = Some(clocks);
    }
    Err(Stuck::Rounds(ROUNDS))
}

/// What follows from the value that one event saw.
fn infer(
    part: &Part<'_>,
    clocks: &Clocks,
    reader: u32,
    source: Option<u32>,
    edges: &mut Vec<Edge>,
) {
    let (mut older, mut newer) = (Vec::new(), Vec::new());
    for thread in 0..part.threads {
        let writes = part.writes(reader, thread);
        if writes.is_empty() {
            continue;
        }
        if let Some(source) = source {
            // The last write before the read was overwritten by what was read.
            let before = clocks.before(reader, thread);
            let count = writes.partition_point(|&write| part.rank(write) < before);
            let last = count.checked_sub(1).map(|last| writes[last]);
            older
                .extend(last.filter(|&last| last != source && !clocks.ordered(part, last, source)));
        }
        // The first write after what was read came after the read.
        let after = source.map_or(0, |source| clocks.after(source, thread));
        let count = writes.partition_point(|&write| part.rank(write) < after);
        newer.extend(
            writes.get(count).copied().filter(|&first| {
                first != reader && part.rank(first) < clocks.after(reader, thread)
            }),
        );
    }
    for &from in &older {
        let implied = |other: &u32| *other != from && clocks.ordered(part, from, *other);
        if let Some(to) = source
            && !older.iter().any(implied)
        {
            edges.push(Edge {
                from,
                to,
                why: Why::Outlived(reader),
            });
        }
    }
    for &to in &newer {
        let implied = |other: &u32| *other != to && clocks.ordered(part, *other, to);
        if !newer.iter().any(implied) {
            edges.push(Edge {
                from: reader,
                to,
                why: Why::Overwrote,
            });
        }
    }
}

/// Whether each word's writes come one after the other. Adds edges between them, of which all
/// order among them follows.
fn line_up(part: &Part<'_>, clocks: &Clocks, order: &[u32], edges: &mut Vec<Edge>) -> Vec<bool> {
    let mut lined = vec![true; part.words().len()];
    let mut last: Vec<Option<u32>> = vec![None; lined.len()];
    for &to in order {
        if part.events[to as usize].action.written().is_none() {
            continue;
        }
        let word = part.word(to);
        let Some(from) = last[word].replace(to) else {
            continue;
        };
        if clocks.ordered(part, from, to) {
            edges.push(Edge {
                from,
                to,
                why: Why::Line,
            });
            continue;
        }
        lined[word] = false;
        for thread in 0..part.threads {
            let writes = part.writes(to, thread);
            let before = clocks.before(to, thread);
            let count = writes.partition_point(|&write| part.rank(write) < before);
            let from = count.checked_sub(1).map(|last| writes[last]);
            edges.extend(from.map(|from| Edge {
                from,
                to,
                why: Why::Line,
            }));
        }
    }
    lined
}
