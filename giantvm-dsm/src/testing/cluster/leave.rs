//! Nodes that leave, and are stopped or come back.

use giantvm_core::{NodeId, PageRange};

use super::{Broken, Cluster};
use crate::protocol::{Departing, Input, Phase, Tick};
use crate::testing::Inspect;
use crate::testing::chaos::{Afterwards, Chaos};
use crate::testing::network::Event;
use crate::testing::node::Thread;

/// Pages that a node that leaves is told to give up at a time.
const AT_A_TIME: u32 = 2;

impl<P: Inspect> Cluster<P> {
    /// Has a node leave, if it may: its threads go on at its heir if it will not come back.
    pub(super) fn begin_leaving(&mut self, chaos: Chaos) -> Result<(), Broken> {
        let Chaos::Leave { node, heir, then } = chaos else {
            return Ok(());
        };
        let leaves = |phase| !matches!(phase, Phase::Here | Phase::Left);
        let alive = self.nodes.iter().filter(|node| node.alive);
        let another = alive
            .clone()
            .any(|node| leaves(node.protocol.departure().phase));
        let both = alive
            .filter(|alive| [node, heir].contains(&alive.id))
            .count()
            == 2;
        let refusal = self.nodes[node.index()].protocol.refusal(heir);
        if another || !both || refusal.is_some() || self.disturbed {
            return Ok(());
        }
        if then == Afterwards::Stop {
            self.move_threads(node, heir);
        }
        let begin = Input::Depart(Departing::Begin { heir });
        self.feed(node, begin, None, Event::Chaos(chaos))?;
        self.report.departures += 1;
        self.network.soon(Event::Leaving { at: node, then });
        Ok(())
    }

    fn move_threads(&mut self, from: NodeId, to: NodeId) {
        let mut moved = Vec::new();
        for thread in &mut self.nodes[from.index()].threads {
            let kept = usize::from(thread.blocked.is_some());
            let program = thread.program.split_off(kept.min(thread.program.len()));
            moved.push(Thread {
                program,
                blocked: None,
            });
        }
        let threads = &mut self.nodes[to.index()].threads;
        let first = threads.len();
        threads.extend(moved);
        for thread in first..threads.len() {
            self.network.soon(Event::Run { at: to, thread });
        }
    }

    /// Lets a node that leaves go on; stops it once it has left, or has it come back.
    pub(super) fn go_on_leaving(
        &mut self,
        at: NodeId,
        then: Afterwards,
        event: Event<P::Message>,
    ) -> Result<(), Broken> {
        // After a loss nothing moves any more.
        if self.disturbed || !self.nodes[at.index()].alive {
            return Ok(());
        }
        if self.nodes[at.index()].protocol.departure().phase != Phase::Left {
            let pages = AT_A_TIME;
            let on = Input::Depart(Departing::Continue { pages });
            self.feed(at, on, None, event)?;
            let again = Tick(self.network.now.0 + self.config.delay.0);
            self.network.at(again, Event::Leaving { at, then });
            return Ok(());
        }
        self.check_left(at)?;
        // A fault may have been read too late to be answered before.
        let mut threads = self.nodes[at.index()].threads.iter();
        let waits = threads.any(|thread| thread.blocked.is_some());
        match then {
            _ if waits => self.feed(at, Input::Depart(Departing::Return), None, event),
            Afterwards::Return => self.feed(at, Input::Depart(Departing::Return), None, event),
            Afterwards::Stop => {
                self.nodes[at.index()].alive = false;
                for other in NodeId::first(self.nodes.len()).filter(|&other| other != at) {
                    let lost = Event::Lost {
                        at: other,
                        node: at,
                    };
                    self.network.soon(lost);
                }
                Ok(())
            }
        }
    }

    /// Checks that a node which has left is missed by no one.
    fn check_left(&self, left: NodeId) -> Result<(), Broken> {
        let here = &self.nodes[left.index()];
        for page in PageRange::first(self.config.pages).iter() {
            let known = |node: &&super::Node<P>| {
                let holding = node.protocol.holding(page);
                holding.is_some_and(|holding| holding.possible.contains(left))
            };
            let elsewhere = self.nodes.iter().filter(|node| node.alive);
            let mapped = here.mapped(page).is_some();
            if mapped
                || here.protocol.holding(page).is_some()
                || elsewhere.clone().any(|n| known(&n))
            {
                let what = format!("departure: node {left} left with a part in page {page}");
                return Err((what, Some(page)));
            }
            let misses = |node: &&super::Node<P>| node.id != left && !node.protocol.has_left(left);
            if let Some(node) = elsewhere.clone().find(|node| misses(node)) {
                let what = format!("departure: node {} has not heard of it", node.id);
                return Err((what, None));
            }
        }
        Ok(())
    }
}
