//! The live view of a run: asks every node for its counters once a second, and has them shown.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use giantvm_core::{NodeId, NodeSet};

use crate::console::ConsoleTo;
use crate::counts::Counts;
use crate::rates::Rates;
use crate::screen::{Moment, Row};
use crate::view::{Show, View};

/// How often nodes are asked.
const PERIOD: Duration = Duration::from_secs(1);

/// What is known of one node.
#[derive(Debug)]
struct Known {
    at: Instant,
    counts: Counts,
    row: Row,
}

/// The node that shows, between two questions.
#[derive(Debug)]
pub(crate) struct Top {
    names: Vec<String>,
    view: View,
    started: Instant,
    due: Instant,
    known: BTreeMap<NodeId, Known>,
    /// Who has not answered yet.
    missing: NodeSet,
}

impl Top {
    /// Starts to show. Also says where the guest's console goes meanwhile.
    pub(crate) fn start(show: &Show, names: Vec<String>) -> anyhow::Result<(Self, ConsoleTo)> {
        let (view, console) = View::start(show)?;
        let now = Instant::now();
        let top = Self {
            names,
            view,
            started: now,
            due: now,
            known: BTreeMap::new(),
            missing: NodeSet::EMPTY,
        };
        Ok((top, console))
    }

    /// How long until all are to be asked again.
    pub(crate) fn due_in(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Notes that `peers` were asked, and what this node counted.
    pub(crate) fn asked(&mut self, peers: NodeSet, local: NodeId, own: Counts) {
        if !self.missing.is_empty() {
            // Some are slow: the others are shown, in time.
            self.view.offer(self.moment());
        }
        self.due = Instant::now() + PERIOD;
        self.missing = peers;
        for known in self.known.values_mut() {
            known.row.fresh = false;
        }
        self.learn(local, own);
    }

    /// Notes what a node counted. Once all have told, they are shown.
    pub(crate) fn learn(&mut self, node: NodeId, counts: Counts) {
        self.note(node, counts);
        self.missing = self.missing.without(node);
        if self.missing.is_empty() {
            self.view.offer(self.moment());
        }
    }

    /// Shows what each node, in their order, counted until the end.
    pub(crate) fn finish(mut self, last: Vec<Counts>) {
        for (node, counts) in NodeId::first(last.len()).zip(last) {
            self.note(node, counts);
        }
        let moment = self.moment();
        self.view.finish(moment);
    }

    fn note(&mut self, node: NodeId, counts: Counts) {
        let at = Instant::now();
        let before = self.known.get(&node);
        let (since, old) = before.map_or((at, &counts), |known| (known.at, &known.counts));
        let seconds = (at - since).as_secs_f64();
        let row = Row {
            node: self.names.get(node.index()).cloned().unwrap_or_default(),
            rates: Rates::between(old, &counts, seconds),
            hottest: counts.hottest.clone(),
            fresh: true,
        };
        self.known.insert(node, Known { at, counts, row });
    }

    fn moment(&self) -> Moment {
        Moment {
            second: self.started.elapsed().as_secs_f64(),
            rows: self.known.values().map(|known| known.row.clone()).collect(),
        }
    }
}
