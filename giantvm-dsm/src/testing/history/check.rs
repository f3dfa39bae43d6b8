//! Checks a history: word by word, then in the asked scope.

use std::fmt;

use super::History;
use super::graph::{Edge, Why};
use super::part::Part;
use super::settle::{Stuck, settle};
use super::trail::{Event, Trail};
use super::violation::{Cycle, Link, Reason, Violation};

/// Which operations have to fit into one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Those of each word: coherence.
    Word,
    /// Those of each page.
    Page,
    /// All.
    All,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Word => "one word's operations",
            Self::Page => "one page's operations",
            Self::All => "all operations",
        })
    }
}

/// What that order has to keep of each thread's own. Within a word all models keep all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Model {
    /// All of it.
    Sequential,
    /// All but that a load may pass earlier stores to other words, up to the last exchange, and
    /// that a thread sees its own stores at once: plain accesses on x86.
    TotalStoreOrder,
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sequential => "sequential consistency",
            Self::TotalStoreOrder => "total store order",
        })
    }
}

/// What a history without a violation was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Operations it has.
    pub operations: usize,
    /// Words whose writes the history leaves in more than one order. With none the verdict is
    /// exact; with some, an order of all operations most likely exists.
    pub open: usize,
}

pub(super) fn check(history: &History, scope: Scope, model: Model) -> Result<Checked, Violation> {
    let trail = Trail::new(history)?;
    let mut events = trail.events.clone();
    events.sort_by_key(|event| event.word);
    let words = trail.words.len();
    let mut found = Found {
        edges: vec![Vec::new(); words],
        lined: vec![true; words],
    };
    for events in events.chunk_by(|a, b| a.word == b.word) {
        found.settle(&trail, events, Scope::Word, Model::Sequential)?;
    }
    match scope {
        Scope::Word => {}
        Scope::Page => {
            let page = |event: &Event| trail.words[event.word as usize].page;
            events.sort_by_key(|event| (page(event), event.id));
            for events in events.chunk_by(|a, b| page(a) == page(b)) {
                found.settle(&trail, events, scope, model)?;
            }
        }
        Scope::All => found.settle(&trail, &trail.events, scope, model)?,
    }
    let open = found.lined.iter().filter(|lined| !**lined).count();
    Ok(Checked {
        operations: history.operations(),
        open,
    })
}

/// What the words' own checks found out, in numbers of events.
struct Found {
    /// By word.
    edges: Vec<Vec<Edge>>,
    /// By word: whether its writes are in one line.
    lined: Vec<bool>,
}

impl Found {
    fn settle(
        &mut self,
        trail: &Trail<'_>,
        events: &[Event],
        scope: Scope,
        model: Model,
    ) -> Result<(), Violation> {
        let part = Part::new(trail, events);
        let narrow = scope == Scope::Word;
        let mut given = Vec::new();
        if !narrow {
            let edges = part.words().flat_map(|word| &self.edges[word as usize]);
            given.extend(edges.map(|edge| renumber(edge, |id| part.place(id))));
        }
        let known = |word: u32| !narrow && self.lined[word as usize];
        let settled = settle(&part, model, given, known).map_err(|stuck| match stuck {
            Stuck::Rounds(rounds) => Violation::Unsettled(rounds),
            Stuck::Cycle(edges) => {
                let links = edges.iter().map(|edge| link(trail, &part, edge)).collect();
                Violation::Cycle(Cycle {
                    scope,
                    model,
                    links,
                })
            }
        })?;
        for (word, lined) in part.words().zip(settled.lined) {
            self.lined[word as usize] = lined;
        }
        if narrow {
            for edge in &settled.edges {
                let word = part.events[edge.from as usize].word as usize;
                self.edges[word].push(renumber(edge, |at| part.events[at as usize].id));
            }
        }
        Ok(())
    }
}

fn renumber(edge: &Edge, number: impl Fn(u32) -> u32) -> Edge {
    let why = match edge.why {
        Why::Outlived(by) => Why::Outlived(number(by)),
        why @ (Why::Program | Why::Seen | Why::Overwrote | Why::Line) => why,
    };
    Edge {
        from: number(edge.from),
        to: number(edge.to),
        why,
    }
}

fn link(trail: &Trail<'_>, part: &Part<'_>, edge: &Edge) -> Link {
    let step = |at: u32| trail.step(part.events[at as usize].id);
    let reason = match edge.why {
        Why::Program => Reason::Program,
        Why::Seen => Reason::Seen,
        Why::Overwrote => Reason::Overwrote,
        Why::Line => Reason::Line,
        Why::Outlived(by) => Reason::Outlived(step(by)),
    };
    Link {
        step: step(edge.from),
        reason,
    }
}
