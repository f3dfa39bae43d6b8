//! A frame from a peer, read as a message of every coherence protocol.
#![no_main]

use bytes::BytesMut;
use giantvm_core::wire::{Frame, Limits};
use giantvm_dsm::protocol::{CoherenceProtocol, Directory, Ivy, Lease, PageMessage};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { max_payload: 4096 };

/// What is read is written the same.
fn read<P: CoherenceProtocol>(frame: &Frame) {
    if let Ok(message) = P::Message::decode(frame) {
        assert_eq!(message.encode(), (frame.kind, frame.body));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let frame = Frame::decode(&mut BytesMut::from(bytes), LIMITS);
    if let Ok(Some(frame)) = frame {
        read::<Directory>(&frame);
        read::<Ivy>(&frame);
        read::<Lease>(&frame);
    }
});
