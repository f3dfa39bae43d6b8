//! What a node holds of its pipes with one peer.

use std::sync::Arc;

use giantvm_core::wire::Class;

use super::ring::{Consumer, Producer};
use super::segment::{Segment, SegmentRing};
use crate::bell::Bell;

const CLASSES: usize = Class::ALL.len();

/// The ends of all pipes between this node and a peer, by class.
#[derive(Debug)]
pub(crate) struct Pipes {
    /// What this node sends.
    pub(crate) output: [Producer<SegmentRing>; CLASSES],
    /// What it gets.
    pub(crate) input: [Consumer<SegmentRing>; CLASSES],
    /// Rung by the peer.
    pub(crate) bell: Arc<Bell>,
    /// Rung for the peer.
    pub(crate) theirs: Arc<Bell>,
}

impl Pipes {
    /// The ends of the one that made the segment, or of the other one.
    pub(crate) fn new(segment: &Arc<Segment>, maker: bool, bell: Bell, theirs: Bell) -> Self {
        Self {
            output: segment.rings(maker).map(Producer::new),
            input: segment.rings(!maker).map(Consumer::new),
            bell: Arc::new(bell),
            theirs: Arc::new(theirs),
        }
    }
}
