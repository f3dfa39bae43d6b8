//! A stream of bytes from a peer, taken apart into frames.
#![no_main]

use bytes::BytesMut;
use giantvm_core::wire::{Frame, Limits};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { max_payload: 4096 };

fuzz_target!(|bytes: &[u8]| {
    let mut stream = BytesMut::from(bytes);
    let mut again = BytesMut::new();
    while let Ok(Some(frame)) = Frame::decode(&mut stream, LIMITS) {
        frame.encode(&mut again);
    }
    // What was taken off the stream is what the frames say, and the rest is untouched.
    assert_eq!([&again[..], &stream[..]].concat(), bytes);
});
