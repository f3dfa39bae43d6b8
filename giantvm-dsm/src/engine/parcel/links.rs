//! What is known of the links to other nodes.

use std::time::Instant;

use giantvm_core::{NodeId, NodeSet};

use super::speed::Speed;
use super::worth::{Rate, delta_pays, lz4_pays};

/// The links of a node.
#[derive(Debug)]
pub(super) struct Links {
    /// The peers that are on this host.
    near: NodeSet,
    /// Bytes of a page.
    page: usize,
    /// What times are counted from.
    origin: Instant,
    speeds: Vec<Speed>,
    /// Requests for pages that this node has sent.
    asked: u64,
}

impl Links {
    pub(super) fn new(near: NodeSet, page: usize) -> Self {
        Self {
            near,
            page,
            origin: Instant::now(),
            speeds: Vec::new(),
            asked: 0,
        }
    }

    /// Whether `peer` is reached without a network.
    pub(super) const fn is_near(&self, peer: NodeId) -> bool {
        self.near.contains(peer)
    }

    /// A page is asked for.
    pub(super) const fn asks(&mut self) {
        self.asked += 1;
    }

    /// A page came from `peer` in so many bytes.
    pub(super) fn arrived(&mut self, peer: NodeId, bytes: usize) {
        if self.is_near(peer) {
            return;
        }
        let now = self.origin.elapsed();
        let peers = self.speeds.len().max(peer.index() + 1);
        self.speeds.resize(peers, Speed::default());
        if let Some(speed) = self.speeds.get_mut(peer.index()) {
            speed.arrived(now, bytes, self.asked);
        }
    }

    /// Whether deltas pay on the link to `peer`.
    pub(super) fn delta_pays(&self, peer: NodeId) -> bool {
        delta_pays(self.page, self.rate(peer))
    }

    /// Whether a link was seen to be so slow that pages had better come compressed.
    pub(super) fn wants_compression(&self) -> bool {
        let measured = self.speeds.iter().filter_map(Speed::rate).min();
        measured.is_some_and(|rate| lz4_pays(self.page, rate))
    }

    fn rate(&self, peer: NodeId) -> Rate {
        if self.is_near(peer) {
            return Rate::HOST;
        }
        let speed = self.speeds.get(peer.index());
        speed.and_then(Speed::rate).unwrap_or(Rate::ASSUMED)
    }
}
