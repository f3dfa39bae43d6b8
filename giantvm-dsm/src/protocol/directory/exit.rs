//! The phases of a node that leaves. What it does page by page is in `press.rs`, what the others do in
//! `notices.rs`.

use giantvm_core::{NodeId, NodeSet, PageIndex};

use super::message::{Message, WHOLE};
use super::{Directory, Out};
use crate::mutants::mutant;
use crate::protocol::{Attach, CannotDepart, Departing, Departure, Phase, Violation};

/// Most pages that are looked at at once: a fraction of a millisecond.
const MOST_LOOKS: u64 = 1 << 14;

/// How far this node's departure is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Exit {
    pub(super) phase: Phase,
    heir: NodeId,
    /// The next page to be looked at in this phase.
    cursor: u64,
    /// Pages told to go.
    pub(super) told: u64,
    /// Nodes that were told what this phase is about, and have not agreed.
    awaited: NodeSet,
    /// Nodes that are told once the heir has agreed.
    untold: NodeSet,
}

impl Exit {
    pub(super) const fn none() -> Self {
        Self {
            phase: Phase::Here,
            heir: NodeId::ZERO,
            cursor: 0,
            told: 0,
            awaited: NodeSet::EMPTY,
            untold: NodeSet::EMPTY,
        }
    }

    /// Whether faults have to wait.
    pub(super) fn is_closed(&self) -> bool {
        self.phase >= Phase::Closing
    }
}

impl Directory {
    /// What is against a departure now.
    pub(super) fn against_departure(&self, heir: NodeId) -> Option<CannotDepart> {
        let others = self.nodes.without(self.local);
        if self.halted {
            Some(CannotDepart::Halted)
        } else if self.moves.is_none() {
            Some(CannotDepart::HomesStay)
        } else if self.exit.phase != Phase::Here {
            Some(CannotDepart::UnderWay)
        } else if !others.contains(heir) || self.births.has_heir(heir) || self.left.contains(heir) {
            Some(CannotDepart::Heir(heir))
        } else {
            let noticed = self.notices.keys().next().copied();
            let other = self.births.leaving().or(noticed);
            other.map(CannotDepart::Another)
        }
    }

    /// How far the departure is.
    pub(super) fn departure_now(&self) -> Departure {
        Departure {
            phase: self.exit.phase,
            seen: self.exit.cursor,
            pages: self.copies.pages(),
            going: self.pressed.len() as u64,
            told: self.exit.told,
        }
    }

    pub(super) fn depart(&mut self, order: Departing, out: &mut Out) {
        match order {
            Departing::Begin { heir } if self.against_departure(heir).is_none() => {
                // Who has come back after it left is home to nothing.
                let phase = if self.births.has_heir(self.local) {
                    Phase::Draining
                } else {
                    Phase::Recalling
                };
                self.exit = Exit {
                    phase,
                    heir,
                    ..Exit::none()
                };
            }
            Departing::Continue { pages } => self.go_on(pages, out),
            Departing::Return if self.exit.phase == Phase::Left => {
                self.exit.phase = Phase::Here;
                for node in self.nodes.without(self.local) {
                    self.send(node, Message::Back, Attach::Nothing, out);
                }
                let waiting: Vec<_> = self
                    .pending
                    .iter()
                    .map(|(&page, p)| (page, p.access()))
                    .collect();
                for (page, access) in waiting {
                    self.ask(page, access, out);
                }
            }
            Departing::Begin { .. } | Departing::Return => {}
        }
    }

    /// Looks again at the pages that were told to go, and tells up to `most` more.
    fn go_on(&mut self, most: u32, out: &mut Out) {
        if !matches!(self.exit.phase, Phase::Recalling | Phase::Draining) {
            return;
        }
        self.hurry_all(out);
        let going: Vec<_> = self.pressed.iter().copied().collect();
        for page in going {
            if !self.press(page, out) {
                self.pressed.remove(&page);
            }
        }
        let mut left = most;
        let end = self
            .copies
            .pages()
            .min(self.exit.cursor.saturating_add(MOST_LOOKS));
        while left > 0 && self.exit.cursor < end {
            let page = PageIndex(self.exit.cursor);
            self.exit.cursor += 1;
            if self.pressed.contains(&page) {
                continue;
            }
            self.pressed.insert(page);
            if self.press_first(page, out) {
                self.exit.told += 1;
                left -= 1;
            } else {
                self.pressed.remove(&page);
            }
        }
        self.end_pass(out);
    }

    /// Begins the next phase if all pages were looked at, and none of them is still to go.
    fn end_pass(&mut self, out: &mut Out) {
        let looked = self.exit.cursor >= self.copies.pages();
        if !looked || !self.pressed.is_empty() && !mutant!(HomeLeavesTooSoon) {
            return;
        }
        match self.exit.phase {
            Phase::Recalling => {
                self.claim_words();
                self.tell_heir(Phase::Announcing, out);
            }
            Phase::Draining if self.pending.is_empty() && self.active.is_empty() => {
                self.births.retire(self.local);
                self.tell_heir(Phase::Closing, out);
            }
            Phase::Here | Phase::Announcing | Phase::Draining | Phase::Closing | Phase::Left => {}
        }
    }

    /// Notes of every page that this node is birth home to that it is its home. Where it inherited
    /// that, nothing said so but who had left.
    fn claim_words(&mut self) {
        for page in self
            .births
            .of(self.local)
            .into_iter()
            .flat_map(|run| run.iter())
        {
            if self.home(page) == Some(self.local) {
                self.set_home(page, self.local);
            }
        }
    }

    /// Tells the heir what begins now; the others once it has agreed.
    fn tell_heir(&mut self, phase: Phase, out: &mut Out) {
        let heir = NodeSet::only(self.exit.heir);
        let others = self.nodes.without(self.local);
        let first = if mutant!(HomeLeavesAllAtOnce) {
            others
        } else {
            heir
        };
        self.exit.phase = phase;
        self.exit.untold = others.minus(first);
        self.tell(first, out);
    }

    fn tell(&mut self, nodes: NodeSet, out: &mut Out) {
        self.exit.awaited = nodes;
        let heir = self.exit.heir;
        let message = match self.exit.phase {
            Phase::Announcing => Message::Heir { heir },
            _ => Message::Leave,
        };
        for node in nodes {
            self.send(node, message, Attach::Nothing, out);
        }
    }

    /// Another node has taken note.
    pub(super) fn agreed(&mut self, from: NodeId, out: &mut Out) -> Result<(), Violation> {
        let telling = matches!(self.exit.phase, Phase::Announcing | Phase::Closing);
        if !telling || !self.exit.awaited.contains(from) {
            let (page, message, state) = (WHOLE, "Agree", "no one is asked");
            return Err(Violation::Unexpected {
                page,
                message,
                state,
            });
        }
        self.agree_for(from, out);
        Ok(())
    }

    /// Goes on without waiting for `node`, which has agreed or is gone.
    pub(super) fn agree_for(&mut self, node: NodeId, out: &mut Out) {
        if !matches!(self.exit.phase, Phase::Announcing | Phase::Closing) {
            return;
        }
        self.exit.awaited = self.exit.awaited.without(node);
        self.exit.untold = self.exit.untold.without(node);
        if !self.exit.awaited.is_empty() {
            return;
        }
        let untold = std::mem::take(&mut self.exit.untold);
        if !untold.is_empty() {
            self.tell(untold, out);
        } else if self.exit.phase == Phase::Announcing {
            self.births.inherit(self.local, self.exit.heir);
            self.exit.phase = Phase::Draining;
            self.exit.cursor = 0;
        } else {
            self.exit.phase = Phase::Left;
        }
    }
}
