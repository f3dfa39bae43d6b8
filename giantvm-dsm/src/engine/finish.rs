//! The common end: no node leaves while another may still need its pages.
//!
//! A node that is done says so to all others and goes on serving until all of them have said the
//! same. It says so after its own last access, so when it has heard from everyone no page of its
//! own is needed by anyone.

use giantvm_core::wire::{DecodeError, Frame};

use super::farewells::Farewells;

/// The frame kind of a farewell: the last one, which no protocol uses.
pub(super) const KIND: u8 = u8::MAX;

/// Notes the farewell in `frame`.
pub(super) fn received(farewells: &Farewells, frame: &Frame) -> Result<(), DecodeError> {
    if !frame.body.as_slice().is_empty() || !frame.payload.is_empty() {
        return Err(DecodeError::BodyLength {
            service: frame.service,
            kind: frame.kind,
            expected: 0,
            got: frame.body.as_slice().len() + frame.payload.len(),
        });
    }
    farewells.received(frame.from);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use giantvm_core::wire::{Body, Service};
    use giantvm_core::{Epoch, NodeId, NodeSet, Stamp};

    use super::*;

    fn farewell(from: u8) -> Frame {
        Frame {
            service: Service::Dsm,
            kind: KIND,
            from: NodeId::new(from).unwrap(),
            epoch: Epoch::FIRST,
            stamp: Stamp::ZERO,
            body: Body::new(&[]).unwrap(),
            payload: Bytes::new(),
        }
    }

    #[test]
    fn the_end_is_reached_when_every_peer_is_done() {
        let farewells = Farewells::new(NodeSet::first(3).without(NodeId::ZERO));
        received(&farewells, &farewell(1)).unwrap();
        let missing = farewells.wait(Duration::ZERO).unwrap_err();
        assert_eq!(missing, NodeSet::only(NodeId::new(2).unwrap()));
        received(&farewells, &farewell(2)).unwrap();
        assert_eq!(farewells.wait(Duration::ZERO), Ok(()));
    }

    #[test]
    fn a_peer_that_went_without_a_word_ends_the_wait_at_once() {
        let one = NodeId::new(1).unwrap();
        let farewells = Farewells::new(NodeSet::only(one));
        assert!(!farewells.left(one));
        let missing = farewells.wait(Duration::from_secs(3600)).unwrap_err();
        assert_eq!(missing, NodeSet::only(one));
    }

    #[test]
    fn a_farewell_with_a_body_is_refused() {
        let mut frame = farewell(1);
        frame.body = Body::new(&[1]).unwrap();
        assert!(received(&Farewells::new(NodeSet::EMPTY), &frame).is_err());
    }
}
