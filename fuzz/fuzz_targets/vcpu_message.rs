//! A frame from a peer, read as a message about vCPUs and time.
#![no_main]

use bytes::BytesMut;
use giantvm_core::wire::{Frame, Limits};
use giantvm_vcpu::message::Message;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { max_payload: 4096 };

fuzz_target!(|bytes: &[u8]| {
    let frame = Frame::decode(&mut BytesMut::from(bytes), LIMITS);
    if let Ok(Some(frame)) = frame
        && let Ok(message) = Message::decode(&frame)
    {
        let (kind, body, payload) = message.encode();
        assert_eq!((kind, &body), (frame.kind, &frame.body));
        // A state has more than one form, and one that it is written in.
        let again = Frame { payload, ..frame };
        assert_eq!(Message::decode(&again), Ok(message));
    }
});
