//! What must hold in every state, and in those where nothing is under way.

use std::collections::VecDeque;

use giantvm_core::NodeSet;
use giantvm_dsm::protocol::{CoherenceProtocol, Rights};
use giantvm_dsm::testing::Inspect;

use super::node::{Bytes, Frame, Node};
use super::world::{PAGE, World};

impl World {
    /// Checks what must hold in every state.
    ///
    /// # Errors
    /// Which law is broken.
    pub(crate) fn check(&self) -> Result<(), String> {
        let holders: NodeSet = self.holders(|_| true);
        let writers: NodeSet = self.holders(|rights| rights == Rights::Write);
        if !writers.is_empty() && holders.len() != 1 {
            return Err(format!("single-writer: {writers} of {holders}"));
        }
        for (at, node) in self.alive() {
            if let Frame::Mapped(_, Bytes::Old) = node.frame {
                return Err(format!("data-value: node {at} shows old bytes"));
            }
            if node.protocol.rights(PAGE) != node.rights() {
                return Err(format!("mapping: node {at} has {:?}", node.frame));
            }
            if node.protocol.in_flight() > 2 {
                return Err(format!("bounds: node {at}"));
            }
            if let Some(holding) = node.protocol.holding(PAGE) {
                let alive: NodeSet = self.alive().map(|(at, _)| at).collect();
                let known = holding.holders.iter().filter(|&node| alive.contains(node));
                let writer = holding.writer.filter(|&node| alive.contains(node));
                let exact = holders == known.collect() && writers == writer.into_iter().collect();
                if !holders.is_subset(holding.possible) || (holding.settled && !exact) {
                    return Err(format!("directory: {holders} hold, known is {holding:?}"));
                }
            }
        }
        let letters: usize = self.channels.iter().map(VecDeque::len).sum();
        if letters > 2 * self.nodes.len() + 3 {
            return Err(format!("bounds: {letters} messages under way"));
        }
        if self.is_quiet() {
            self.check_quiet()
        } else {
            Ok(())
        }
    }

    /// Checks what must hold when nothing is under way.
    fn check_quiet(&self) -> Result<(), String> {
        let a_death = self.nodes.iter().any(|node| node.dead);
        for (at, node) in self.alive() {
            if a_death != node.protocol.is_halted() {
                return Err(format!("fail-closed: node {at} goes on after a death"));
            }
            let waits = !node.waiting.is_empty() || node.protocol.in_flight() > 0;
            if waits && !a_death {
                return Err(format!("answered: node {at} waits for ever"));
            }
        }
        Ok(())
    }

    fn holders(&self, which: impl Fn(Rights) -> bool) -> NodeSet {
        let holds = |node: &Node| node.rights().is_some_and(&which);
        let holders = self.alive().filter(|(_, node)| holds(node));
        holders.map(|(at, _)| at).collect()
    }
}
