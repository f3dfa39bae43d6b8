//! What must hold in every state, and in those where nothing is under way.

use giantvm_core::{NodeId, NodeSet, PageIndex};

use super::Checkable;
use super::node::{Frame, Node, index};
use super::world::World;
use crate::protocol::{PageMessage, Phase, Rights};

impl<P: Checkable> World<P> {
    /// Checks what must hold in every state.
    ///
    /// # Errors
    /// Which law is broken.
    pub(super) fn check(&self) -> Result<(), String> {
        for (at, node) in self.alive() {
            if node.protocol.in_flight() > 2 * self.writes.len() {
                return Err(format!("bounds: node {at}"));
            }
            self.check_left(at, node)?;
            let pinned = node.pins.pages();
            let gone = |page: &PageIndex| node.rights(*page) != Some(Rights::Write);
            if let Some(page) = pinned.into_iter().find(gone) {
                return Err(format!("pinned: {page} of node {at} went"));
            }
        }
        self.pages().try_for_each(|page| self.check_page(page))?;
        if self.is_quiet() {
            self.check_quiet()
        } else {
            Ok(())
        }
    }

    /// A node that has left is missed by no one.
    fn check_left(&self, at: NodeId, node: &Node<P>) -> Result<(), String> {
        if node.protocol.departure().phase != Phase::Left {
            return Ok(());
        }
        for page in self.pages() {
            let mut others = self.alive();
            let knows = |(_, other): (NodeId, &Node<P>)| {
                let holding = other.protocol.holding(page);
                holding.is_some_and(|holding| holding.possible.contains(at))
            };
            if node.frames[index(page)].rights().is_some() || others.any(knows) {
                return Err(format!("departure: node {at} left with a part in {page}"));
            }
        }
        let misses = |(_, other): &(NodeId, &Node<P>)| !other.protocol.has_left(at);
        match self.alive().filter(|&(other, _)| other != at).find(misses) {
            Some((other, _)) => Err(format!("departure: node {other} has not heard of it")),
            None => Ok(()),
        }
    }

    fn check_page(&self, page: PageIndex) -> Result<(), String> {
        let writers = self.holders(page, |rights| rights == Rights::Write);
        let holders = self.holders(page, |_| true);
        for (at, node) in self.alive() {
            let frame = node.frames[index(page)];
            if node.protocol.rights(page) != frame.rights() {
                return Err(format!("mapping: node {at} has {frame:?} of {page}"));
            }
            let Frame::Mapped(_, bytes) = frame else {
                continue;
            };
            let (clock, lease) = (node.protocol.clock(), node.protocol.lease(page));
            if !self.writes[index(page)].valid(bytes, clock) {
                return Err(format!("data-value: node {at} shows old bytes of {page}"));
            }
            if lease.is_some_and(|end| end < clock) {
                return Err(format!(
                    "single-writer: node {at} reads {page} after its lease"
                ));
            }
            for writer in writers.without(at).iter() {
                let writes_at = self.nodes[writer.index()].protocol.clock();
                if lease.is_none_or(|end| end >= writes_at) || writers.contains(at) {
                    return Err(format!("single-writer: {writers} of {holders}, {page}"));
                }
            }
        }
        self.check_directory(page, holders, writers)?;
        let letters = self.channels.iter().flatten();
        let letters = letters.filter(|letter| letter.message.page() == page);
        let count = letters.count();
        if count > 3 * self.nodes.len() + 3 {
            return Err(format!("bounds: {count} messages about {page} under way"));
        }
        Ok(())
    }

    fn check_directory(
        &self,
        page: PageIndex,
        holders: NodeSet,
        writers: NodeSet,
    ) -> Result<(), String> {
        let alive: NodeSet = self.alive().map(|(at, _)| at).collect();
        for (_, node) in self.alive() {
            let Some(holding) = node.protocol.holding(page) else {
                continue;
            };
            let known = holding.holders.iter().filter(|&node| alive.contains(node));
            let writer = holding.writer.filter(|&node| alive.contains(node));
            let exact = holders == known.collect() && writers == writer.into_iter().collect();
            if !holders.is_subset(holding.possible) || (holding.settled && !exact) {
                return Err(format!(
                    "directory: {holders} hold {page}, known is {holding:?}"
                ));
            }
        }
        Ok(())
    }

    /// Checks what must hold when nothing is under way.
    fn check_quiet(&self) -> Result<(), String> {
        if self.nodes.iter().any(|node| node.dead && !node.left) {
            return Ok(());
        }
        // A home may still wait for a word that waits for others, as long as no thread waits for the home.
        let lingers = self.channels.iter().any(|letters| !letters.is_empty());
        for (at, node) in self.alive() {
            let waits = node.waiting.iter().any(|threads| !threads.is_empty());
            if waits || node.protocol.in_flight() > 0 && !lingers {
                return Err(format!("answered: node {at} waits for ever"));
            }
            let phase = node.protocol.departure().phase;
            if !matches!(phase, Phase::Here | Phase::Left) {
                return Err(format!("departure: node {at} stays at {phase:?} for ever"));
            }
        }
        Ok(())
    }

    fn holders(&self, page: PageIndex, which: impl Fn(Rights) -> bool) -> NodeSet {
        let holds = |node: &Node<P>| node.rights(page).is_some_and(&which);
        let holders = self.alive().filter(|(_, node)| holds(node));
        holders.map(|(at, _)| at).collect()
    }
}
