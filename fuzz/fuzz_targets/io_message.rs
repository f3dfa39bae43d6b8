//! A frame from a peer, read as a message about devices and as one about the machine's life.
#![no_main]

use bytes::BytesMut;
use giantvm_core::wire::{Frame, Limits};
use giantvm_io::IoMessage;
use giantvm_io::machine::MachineMessage;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { max_payload: 4096 };

fuzz_target!(|bytes: &[u8]| {
    let frame = Frame::decode(&mut BytesMut::from(bytes), LIMITS);
    let Ok(Some(frame)) = frame else { return };
    let (from, epoch, stamp) = (frame.from, frame.epoch, frame.stamp);
    let sent = |encoded| Frame { stamp, ..encoded };
    if let Ok(message) = IoMessage::decode(&frame) {
        assert_eq!(sent(message.encode(from, epoch)), frame);
    }
    if let Ok(message) = MachineMessage::decode(&frame) {
        assert_eq!(sent(message.encode(from, epoch)), frame);
    }
});
