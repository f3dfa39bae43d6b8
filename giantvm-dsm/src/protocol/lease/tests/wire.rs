//! The wire form: what is sent is what arrives, and everything else is refused.

use giantvm_core::Epoch;
use giantvm_core::wire::{Body, DecodeError, Frame, Service};
use proptest::prelude::*;

use super::*;
use crate::protocol::PageMessage;

fn frame(kind: u8, body: Body) -> Frame {
    let mut frame = Frame::control(Service::Dsm, kind, node(1), Epoch::FIRST, &[]).unwrap();
    (frame.body, frame.stamp) = (body, Stamp::ZERO);
    frame
}

fn samples() -> [Message; 8] {
    let last = Lease::LAST.0;
    [
        request(Access::Read, last, 0),
        request(Access::Write, 3, last),
        zeroes(),
        grant(Rights::Read, 4, last, Source::Held),
        grant(Rights::Write, last, last, Source::Attached),
        recall(5, Access::Read, last),
        back(last),
        leave(6),
    ]
}

#[test]
fn every_message_survives_the_wire_in_at_most_35_bytes() {
    let write = recall(7, Access::Write, 0);
    for message in samples().into_iter().chain([write]) {
        let (kind, body) = message.encode();
        assert!(body.as_slice().len() <= 35);
        assert_eq!(Message::decode(&frame(kind, body)), Ok(message));
    }
}

#[test]
fn kinds_are_numbered_one_to_five() {
    let mut kinds: Vec<_> = samples().iter().map(|message| message.encode().0).collect();
    kinds.dedup();
    assert_eq!(kinds, [1, 2, 3, 4, 5]);
    for kind in [0, 6, 255] {
        let service = Service::Dsm;
        let unknown = Err(DecodeError::UnknownKind { service, kind });
        assert_eq!(Message::decode(&frame(kind, Body::EMPTY)), unknown);
    }
}

#[test]
fn each_bad_field_is_named() {
    let decode = |message: Message, at: usize, value: u8| {
        let (kind, body) = message.encode();
        let mut bytes = body.as_slice().to_vec();
        bytes[at] = value;
        match Message::decode(&frame(kind, Body::new(&bytes).unwrap())) {
            Err(DecodeError::BadField { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    };
    // A stamp whose highest byte is this is past the last time.
    const PAST: u8 = 0x81;
    let asked = request(Access::Read, 1, 1);
    assert_eq!(decode(asked, 15, PAST), "clock");
    assert_eq!(decode(asked, 23, PAST), "held");
    assert_eq!(decode(asked, 24, 3), "access");
    let given = grant(Rights::Write, 1, 1, Source::Attached);
    assert_eq!(decode(given, 15, PAST), "written");
    assert_eq!(decode(given, 23, PAST), "end");
    assert_eq!(decode(given, 24, 0), "rights");
    assert_eq!(decode(given, 25, 3), "source");
    let order = recall(1, Access::Write, 0);
    assert_eq!(decode(order, 15, PAST), "grant");
    assert_eq!(decode(order, 16, 1), "wanted");
    assert_eq!(decode(order, 23, PAST), "wanted");
    assert_eq!(decode(order, 24, 0), "access");
    assert_eq!(decode(back(1), 15, PAST), "written");
    assert_eq!(decode(leave(1), 15, PAST), "grant");
    let mut other = frame(4, back(1).encode().1);
    other.service = Service::Io;
    assert!(Message::decode(&other).is_err());
}

#[test]
fn a_stamp_just_past_the_last_time_is_refused() {
    let (kind, body) = back(Lease::LAST.0 + 1).encode();
    assert!(Message::decode(&frame(kind, body)).is_err());
}

proptest! {
    #[test]
    fn any_body_decodes_to_a_message_of_the_same_bytes_or_fails(
        kind in 0..7_u8,
        bytes in prop::collection::vec(0..4_u8, 0..=30),
    ) {
        let body = Body::new(&bytes).unwrap();
        if let Ok(message) = Message::decode(&frame(kind, body)) {
            prop_assert_eq!(message.encode(), (kind, body));
        }
    }
}
