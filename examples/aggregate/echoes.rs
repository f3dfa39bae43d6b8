//! How long a short message to another node and its answer take.

use std::collections::BTreeMap;
use std::time::Duration;

use giantvm_core::{NodeId, NodeSet};
use giantvm_vcpu::clock::Nanos;

/// Answers of each node, the fastest of which counts: the others met something on their way.
const ROUNDS: u32 = 16;

/// Questions to other nodes and what their answers tell, one question to each at a time. Pure: time is an
/// argument.
#[derive(Debug, Default)]
pub(crate) struct Echoes(BTreeMap<NodeId, Peer>);

#[derive(Debug, Default)]
struct Peer {
    /// The number of the question that is open, and when it was asked.
    open: Option<(u32, Nanos)>,
    answers: u32,
    shortest: Option<u64>,
}

impl Echoes {
    pub(crate) fn new(peers: NodeSet) -> Self {
        Self(peers.iter().map(|peer| (peer, Peer::default())).collect())
    }

    /// The number of a question to ask this node now, if there is one.
    pub(crate) fn ask(&mut self, node: NodeId, now: Nanos) -> Option<u32> {
        let peer = self.0.get_mut(&node)?;
        if peer.open.is_some() || peer.answers == ROUNDS {
            return None;
        }
        peer.open = Some((peer.answers, now));
        Some(peer.answers)
    }

    /// Takes an answer.
    ///
    /// # Errors
    /// Says so if no such question is open.
    pub(crate) fn answer(&mut self, from: NodeId, number: u32, now: Nanos) -> Result<(), String> {
        let peer = self.0.get_mut(&from);
        let peer = peer.filter(|peer| peer.open.is_some_and(|(open, _)| open == number));
        let peer = peer.ok_or_else(|| format!("node {from} was not asked for echo {number}"))?;
        if let Some((_, asked)) = peer.open.take() {
            let trip = now.0.saturating_sub(asked.0);
            peer.shortest = Some(peer.shortest.map_or(trip, |shortest| shortest.min(trip)));
            peer.answers += 1;
        }
        Ok(())
    }

    /// Whether all nodes have answered often enough.
    pub(crate) fn are_done(&self) -> bool {
        self.0.values().all(|peer| peer.answers == ROUNDS)
    }

    /// The shortest round trip to each node that has answered at all.
    pub(crate) fn round_trips(&self) -> Vec<(NodeId, Duration)> {
        let known = self.0.iter().filter_map(|(node, peer)| {
            let shortest = Duration::from_nanos(peer.shortest?);
            Some((*node, shortest))
        });
        known.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> [NodeId; 2] {
        [1, 2].map(|number| NodeId::new(number).unwrap())
    }

    fn echoes() -> Echoes {
        Echoes::new(peers().into_iter().collect())
    }

    #[test]
    fn the_shortest_of_many_round_trips_counts_and_then_nothing_is_asked() {
        let ([near, far], mut echoes) = (peers(), echoes());
        for (node, extra) in [(near, 0), (far, 500)] {
            let mut now = 0;
            while let Some(number) = echoes.ask(node, Nanos(now)) {
                assert!(!echoes.are_done());
                now += 1000 + extra + u64::from(number.abs_diff(7));
                echoes.answer(node, number, Nanos(now)).unwrap();
            }
        }
        assert!(echoes.are_done());
        let nanos = [1000, 1500].map(Duration::from_nanos);
        assert_eq!(echoes.round_trips(), [(near, nanos[0]), (far, nanos[1])]);
    }

    #[test]
    fn what_was_not_asked_is_refused_and_nothing_is_asked_twice() {
        let ([near, far], mut echoes) = (peers(), echoes());
        assert_eq!(echoes.ask(near, Nanos(0)), Some(0));
        assert_eq!(echoes.ask(near, Nanos(1)), None);
        for (from, number) in [(near, 1), (far, 0), (NodeId::ZERO, 0)] {
            assert!(echoes.answer(from, number, Nanos(2)).is_err());
        }
        assert!(echoes.round_trips().is_empty());
        echoes.answer(near, 0, Nanos(2)).unwrap();
        assert!(echoes.answer(near, 0, Nanos(3)).is_err(), "answered twice");
        assert_eq!(echoes.ask(near, Nanos(3)), Some(1));
        assert_eq!(echoes.ask(NodeId::ZERO, Nanos(3)), None);
    }
}
