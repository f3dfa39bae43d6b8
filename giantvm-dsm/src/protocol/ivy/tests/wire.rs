//! The wire form of every message.

use giantvm_core::wire::{Body, DecodeError, Frame, Service};
use giantvm_core::{Epoch, Stamp};
use proptest::prelude::*;

use super::*;
use crate::protocol::PageMessage;

fn frame(kind: u8, body: Body) -> Frame {
    let mut frame = Frame::control(Service::Dsm, kind, node(1), Epoch::FIRST, &[]).unwrap();
    (frame.body, frame.stamp) = (body, Stamp::ZERO);
    frame
}

fn samples() -> [Message; 8] {
    [
        request(63, Want::Read),
        request(0, Want::Write),
        request(1, Want::Upgrade(Version::MAX)),
        token(0, Source::Zero, &[]),
        token(1 << 16, Source::Held, &[0, 63]),
        token(Version::MAX.get(), Source::Attached, &[1]),
        invalidate(7),
        acknowledge(8),
    ]
}

#[test]
fn every_message_survives_the_wire_in_at_most_35_bytes() {
    for message in samples() {
        let (kind, body) = message.encode();
        assert!(body.as_slice().len() <= 35);
        assert_eq!(Message::decode(&frame(kind, body)), Ok(message));
    }
}

#[test]
fn kinds_are_numbered_one_to_four() {
    let mut kinds: Vec<_> = samples().iter().map(|message| message.encode().0).collect();
    kinds.dedup();
    assert_eq!(kinds, [1, 2, 3, 4]);
    for kind in [0, 5, 255] {
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
    let upgrade = request(1, Want::Upgrade(version(1)));
    let page = token(1, Source::Attached, &[]);
    assert_eq!(decode(request(1, Want::Read), 8, 1), "version");
    assert_eq!(decode(upgrade, 15, 1), "version");
    assert_eq!(decode(upgrade, 16, 64), "requester");
    assert_eq!(decode(upgrade, 17, 0), "want");
    assert_eq!(decode(upgrade, 17, 1), "version");
    assert_eq!(decode(upgrade, 17, 4), "want");
    assert_eq!(decode(page, 15, 1), "version");
    assert_eq!(decode(page, 24, 3), "source");
    assert_eq!(decode(invalidate(1), 15, 1), "version");
    let mut other = frame(3, invalidate(1).encode().1);
    other.service = Service::Io;
    assert!(Message::decode(&other).is_err());
}

#[test]
fn a_body_of_another_length_is_refused() {
    for message in samples() {
        let (kind, body) = message.encode();
        for len in [0, body.as_slice().len() - 1, body.as_slice().len() + 1] {
            let mut bytes = body.as_slice().to_vec();
            bytes.resize(len, 0);
            let refused = Message::decode(&frame(kind, Body::new(&bytes).unwrap()));
            assert!(matches!(refused, Err(DecodeError::BodyLength { .. })));
        }
    }
}

proptest! {
    #[test]
    fn any_body_decodes_to_a_message_of_the_same_bytes_or_fails(
        kind in 0..6_u8,
        bytes in prop::collection::vec(0..4_u8, 0..=40),
    ) {
        let body = Body::new(&bytes).unwrap();
        if let Ok(message) = Message::decode(&frame(kind, body)) {
            prop_assert_eq!(message.encode(), (kind, body));
        }
    }
}
