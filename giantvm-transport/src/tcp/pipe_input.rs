//! The receiving side of the pipes from one peer.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use giantvm_core::wire::Class;

use crate::pipe::doorbell::Doorbell;
use crate::pipe::ring::{Consumer, Nonsense};
use crate::pipe::segment::SegmentRing;

/// Most bytes that one read takes.
const CHUNK: usize = 64 << 10;
/// Fewer are copied twice, which costs less than memory of their own.
const FEW: usize = 1 << 10;

/// What a node gets from a peer of the same host, by class.
#[derive(Debug)]
pub(super) struct PipeInput {
    rings: [Consumer<SegmentRing>; Class::ALL.len()],
    /// Wakes the peer, and is rung by it.
    bell: Arc<Doorbell>,
    /// Whether the peer was asked to ring.
    armed: bool,
    /// Kept between reads so that those of few bytes do not allocate.
    scratch: Vec<u8>,
}

impl PipeInput {
    pub(super) const fn new(
        rings: [Consumer<SegmentRing>; Class::ALL.len()],
        bell: Arc<Doorbell>,
    ) -> Self {
        Self {
            rings,
            bell,
            armed: false,
            scratch: Vec::new(),
        }
    }

    pub(super) fn bell(&self) -> &Doorbell {
        &self.bell
    }

    /// Moves what there is to `buffer`, up to a limit. `false` if there was nothing.
    pub(super) fn read(&mut self, class: Class, buffer: &mut BytesMut) -> Result<bool, Nonsense> {
        let ring = &mut self.rings[class.index()];
        let count = ring.available()?.min(CHUNK);
        if count == 0 {
            return Ok(false);
        }
        if count < FEW || buffer.len() > CHUNK / 8 {
            self.scratch.clear();
            ring.read(count, &mut self.scratch);
            buffer.extend_from_slice(&self.scratch);
        } else {
            // Into new memory, which need not be filled before. A few bytes of a frame come along.
            let mut bytes = Vec::with_capacity(buffer.len() + count);
            bytes.extend_from_slice(buffer);
            ring.read(count, &mut bytes);
            *buffer = Bytes::from(bytes).into();
        }
        if ring.wakes_writer() {
            self.bell.ring();
        }
        Ok(true)
    }

    /// Whether there is something to read.
    pub(super) fn has_more(&self, class: Class) -> Result<bool, Nonsense> {
        Ok(self.rings[class.index()].available()? > 0)
    }

    /// Asks the peer to ring when it writes. `true` if there is something to read already.
    pub(super) fn arm(&mut self) -> Result<bool, Nonsense> {
        self.armed = true;
        let mut more = false;
        for ring in &self.rings {
            more |= ring.want_data()?;
        }
        Ok(more)
    }

    /// Spares the peer the ringing, as this node looks by itself. Whether it rang for what it wrote, or
    /// is about to; `None` if it was not asked to.
    pub(super) fn disarm(&mut self) -> Option<bool> {
        let armed = std::mem::take(&mut self.armed);
        // Each of them, not only up to the first that rang.
        armed.then(|| (self.rings.iter()).fold(false, |rang, ring| ring.want_none() | rang))
    }
}
