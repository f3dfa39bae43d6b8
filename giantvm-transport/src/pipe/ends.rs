//! What a node holds of its pipes with one peer.

use std::sync::Arc;

use giantvm_core::wire::Class;

use super::doorbell::Doorbell;
use super::ring::{Consumer, Producer};
use super::segment::{Segment, SegmentRing};

const CLASSES: usize = Class::ALL.len();

/// The ends of all pipes between this node and a peer, by class.
#[derive(Debug)]
pub(crate) struct Pipes {
    /// What this node sends.
    pub(crate) output: [Producer<SegmentRing>; CLASSES],
    /// What it gets.
    pub(crate) input: [Consumer<SegmentRing>; CLASSES],
    /// Wakes the peer, and is rung by it.
    pub(crate) bell: Arc<Doorbell>,
}

impl Pipes {
    /// The ends of the one that made the segment, or of the other one.
    pub(crate) fn new(segment: &Arc<Segment>, maker: bool, bell: Doorbell) -> Self {
        Self {
            output: segment.rings(maker).map(Producer::new),
            input: segment.rings(!maker).map(Consumer::new),
            bell: Arc::new(bell),
        }
    }
}
