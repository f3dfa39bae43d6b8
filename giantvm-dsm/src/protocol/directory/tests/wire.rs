//! The wire form: what is sent is what arrives, and everything else is refused.

use giantvm_core::wire::{Body, DecodeError, Frame, HEADER, MAX_BODY, Service};
use giantvm_core::{Epoch, Stamp};
use proptest::prelude::*;

use super::*;
use crate::protocol::PageMessage;

fn frame(kind: u8, body: Body) -> Frame {
    Frame {
        service: Service::Dsm,
        kind,
        from: NodeId::ZERO,
        epoch: Epoch::FIRST,
        stamp: Stamp::ZERO,
        body,
        payload: bytes::Bytes::new(),
    }
}

fn pass(rights: Rights) -> Message {
    Message::Pass {
        page: PAGE,
        transaction: Transaction(21),
        version: version(22),
        owner: node(23),
        rights,
    }
}

/// One message of every kind.
fn samples() -> [Message; 26] {
    [
        request(Access::Read),
        grant(7, Rights::Write, 0, Source::Zero, &[]),
        grant(u32::MAX, Rights::Write, 9, Source::Held, &[1, 63]),
        grant(8, Rights::Read, Version::MAX.get(), Source::Attached, &[]),
        grant(8, Rights::Write, 2, Source::Node(node(63)), &[0]),
        fetch(3, 4, 5, Access::Write),
        invalidate(6, 7, 8),
        acknowledge(9),
        data(10, 11),
        done(12),
        Message::Evict { page: PAGE },
        release(13, 14, true),
        release(15, 16, false),
        returned(17, 18),
        Message::Move {
            page: PAGE,
            transaction: Transaction(19),
            version: version(20),
        },
        Message::Redirect {
            page: PAGE,
            to: node(63),
        },
        Message::Yield { page: PAGE },
        Message::Recall { page: PAGE },
        pass(Rights::Read),
        pass(Rights::Write),
        Message::Reclaim { page: PAGE },
        Message::Heir { heir: node(63) },
        Message::Leave,
        Message::Agree,
        Message::Back,
        Message::Hurry { page: PAGE },
    ]
}

#[test]
fn every_message_survives_the_wire_in_at_most_64_bytes() {
    for message in samples() {
        let (kind, body) = message.encode();
        assert!(HEADER + body.as_slice().len() <= 64);
        assert_eq!(Message::decode(&frame(kind, body)), Ok(message));
    }
}

#[test]
fn kinds_are_numbered_one_to_twenty_one() {
    let mut kinds: Vec<_> = samples().iter().map(|message| message.encode().0).collect();
    kinds.dedup();
    assert_eq!(kinds, (1..=21).collect::<Vec<_>>());
    for kind in [0, 22, 255] {
        let unknown = DecodeError::UnknownKind {
            service: Service::Dsm,
            kind,
        };
        assert_eq!(Message::decode(&frame(kind, Body::of(&0_u8))), Err(unknown));
    }
}

#[test]
fn each_bad_field_is_named() {
    let decode = |message: Message, at: usize, value: u8| {
        let (kind, body) = message.encode();
        let mut bytes = body.as_slice().to_vec();
        bytes[at] = value;
        let frame = frame(kind, Body::new(&bytes).unwrap());
        match Message::decode(&frame).unwrap_err() {
            DecodeError::BadField { field, .. } => field,
            other => panic!("{other}"),
        }
    };
    let promise = grant(1, Rights::Write, 1, Source::Node(node(1)), &[]);
    assert_eq!(decode(request(Access::Read), 8, 3), "access");
    assert_eq!(decode(promise, 15, 1), "version");
    assert_eq!(decode(promise, 28, 0), "rights");
    assert_eq!(decode(promise, 29, 0), "supplier");
    assert_eq!(
        decode(grant(1, Rights::Read, 1, Source::Held, &[]), 29, 9),
        "source"
    );
    assert_eq!(decode(promise, 30, 64), "supplier");
    assert_eq!(decode(fetch(1, 1, 1, Access::Read), 20, 64), "requester");
    assert_eq!(decode(fetch(1, 1, 1, Access::Read), 21, 0), "access");
    assert_eq!(decode(invalidate(1, 1, 1), 21, 1), "access");
    assert_eq!(decode(done(1), 8, 1), "version");
    assert_eq!(decode(release(1, 1, true), 20, 2), "take");
    assert_eq!(decode(returned(1, 1), 15, 1), "version");
    let page = PAGE;
    let to = node(1);
    assert_eq!(decode(Message::Redirect { page, to }, 8, 64), "to");
    assert_eq!(decode(pass(Rights::Read), 15, 1), "version");
    assert_eq!(decode(pass(Rights::Read), 20, 64), "owner");
    assert_eq!(decode(pass(Rights::Read), 21, 0), "rights");
    assert_eq!(decode(Message::Heir { heir: to }, 0, 64), "heir");
}

proptest! {
    #[test]
    fn any_body_decodes_to_a_message_of_the_same_bytes_or_fails(
        kind in 0..23_u8,
        bytes in prop::collection::vec(0..3_u8, 0..=MAX_BODY),
    ) {
        let body = Body::new(&bytes).unwrap();
        if let Ok(message) = Message::decode(&frame(kind, body)) {
            prop_assert_eq!(message.encode(), (kind, body));
        }
    }
}
