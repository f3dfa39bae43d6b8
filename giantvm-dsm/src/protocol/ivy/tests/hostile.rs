//! What a peer must not send, message by message.

use super::*;
use Access::{Read, Write};

fn unexpected(message: &'static str, state: &'static str) -> Result<Commands, Violation> {
    Err(Violation::Unexpected {
        page: PAGE,
        message,
        state,
    })
}

fn stale(message: &'static str, got: u64, expected: u64) -> Result<Commands, Violation> {
    Err(Violation::Stale {
        page: PAGE,
        message,
        got,
        expected,
    })
}

#[test]
fn a_page_that_does_not_exist_is_refused() {
    let mut nodes = Nodes::new(2);
    let page = PageIndex(4);
    let refused = Err(Violation::NoSuchPage { page, pages: 4 });
    let version = Version::ZERO;
    assert_eq!(
        nodes.tell(1, 0, Message::Invalidate { page, version }),
        refused
    );
    let access = Read;
    assert_eq!(nodes.input(0, Input::Fault { page, access }), refused);
    assert_eq!(nodes.input(0, Input::Evict { page }), refused);
}

#[test]
fn a_sender_that_is_no_other_node_is_refused() {
    let mut nodes = Nodes::new(2);
    for from in [0, 2, 63] {
        let refused = nodes.tell(from, 0, request(1, Want::Read)).unwrap_err();
        assert!(matches!(refused, Violation::WrongNode { page: PAGE, .. }));
    }
}

#[test]
fn a_payload_too_many_or_too_few_is_refused() {
    let mut nodes = Nodes::new(2);
    for message in [
        request(1, Want::Read),
        token(1, Source::Attached, &[1]),
        token(1, Source::Held, &[]),
        invalidate(1),
        acknowledge(1),
    ] {
        let payload = match message.contents() {
            Contents::Nothing => Contents::Page,
            Contents::Page => Contents::Nothing,
        };
        let from = node(1);
        let input = Input::Message {
            from,
            message,
            payload,
        };
        let refused = nodes.input(0, input).unwrap_err();
        assert!(matches!(refused, Violation::Payload { page: PAGE, .. }));
    }
}

#[test]
fn a_request_of_this_node_of_no_node_or_come_twice_is_refused() {
    let mut nodes = Nodes::new(3);
    let refused = unexpected("Request", "Untouched");
    assert_eq!(nodes.tell(1, 0, request(0, Want::Read)), refused);
    assert_eq!(nodes.tell(1, 0, request(9, Want::Read)), refused);
    nodes.tell(1, 0, request(1, Want::Read)).unwrap();
    let refused = unexpected("Request", "Invalid");
    assert_eq!(nodes.tell(1, 0, request(1, Want::Write)), refused);
}

#[test]
fn a_token_that_no_one_asked_for_is_refused() {
    let mut nodes = Nodes::new(3);
    let zero = token(0, Source::Zero, &[]);
    assert_eq!(nodes.tell(0, 1, zero), unexpected("Token", "Invalid"));
    nodes.access(1, Write);
    assert_eq!(nodes.tell(0, 1, zero), unexpected("Token", "Owner, writes"));
    nodes.access(2, Read);
    let page = token(1, Source::Attached, &[]);
    assert_eq!(nodes.tell(0, 2, page), unexpected("Token", "Owner, reads"));
    nodes.fault(2, Write);
    assert_eq!(nodes.tell(0, 2, page), unexpected("Token", "Owner+"));
}

#[test]
fn tokens_that_no_owner_gives_are_refused() {
    let mut nodes = Nodes::new(4);
    nodes.fault(1, Read);
    for impossible in [
        token(1, Source::Zero, &[]),
        token(0, Source::Zero, &[0]),
        token(0, Source::Attached, &[0]),
        token(1, Source::Attached, &[]),
        token(1, Source::Attached, &[0, 1]),
        token(1, Source::Attached, &[0, 9]),
        token(1, Source::Held, &[0]),
        token(0, Source::Held, &[]),
    ] {
        let refused = nodes.tell(0, 1, impossible);
        assert_eq!(
            refused,
            unexpected("Token", "Invalid+ read"),
            "{impossible:?}"
        );
    }
    nodes.fault(2, Write);
    let shares = nodes.tell(0, 2, token(1, Source::Attached, &[0]));
    assert_eq!(shares, unexpected("Token", "Invalid+ write"));
}

#[test]
fn a_token_that_does_not_fit_the_copy_is_refused() {
    let mut nodes = Nodes::new(3);
    nodes.access(0, Write);
    nodes.access(1, Read);
    nodes.access(2, Read);
    nodes.fault(0, Write);
    let refused = unexpected("Token", "Shared+");
    for impossible in [
        token(1, Source::Attached, &[]),
        token(2, Source::Held, &[]),
        token(1, Source::Held, &[2]),
        token(2, Source::Attached, &[]),
    ] {
        assert_eq!(nodes.tell(2, 0, impossible), refused, "{impossible:?}");
    }
    let old = nodes.tell(2, 0, token(0, Source::Zero, &[]));
    assert_eq!(old, stale("Token", 0, 1));
    assert!(nodes.tell(2, 0, token(1, Source::Held, &[1])).is_ok());
}

#[test]
fn invalidations_of_an_owner_or_of_another_version_are_refused() {
    let mut nodes = Nodes::new(3);
    let untouched = nodes.tell(1, 0, invalidate(0));
    assert_eq!(untouched, unexpected("Invalidate", "Untouched"));
    let never = nodes.tell(0, 1, invalidate(0));
    assert_eq!(never, unexpected("Invalidate", "Invalid"));
    nodes.access(0, Write);
    let owner = nodes.tell(1, 0, invalidate(1));
    assert_eq!(owner, unexpected("Invalidate", "Owner, writes"));
    nodes.access(1, Read);
    assert_eq!(nodes.tell(1, 0, invalidate(2)), stale("Invalidate", 2, 1));
    let owner = nodes.tell(0, 1, invalidate(1));
    assert_eq!(owner, unexpected("Invalidate", "Owner, reads"));
}

#[test]
fn acknowledgements_that_no_one_awaits_are_refused() {
    let mut nodes = Nodes::new(3);
    nodes.access(0, Write);
    nodes.access(1, Read);
    let early = nodes.tell(0, 1, acknowledge(1));
    assert_eq!(early, unexpected("Acknowledge", "Owner, reads"));
    nodes.access(2, Read);
    nodes.fault(2, Write);
    assert_eq!(nodes.tell(0, 2, acknowledge(2)), stale("Acknowledge", 2, 1));
    nodes.tell(0, 2, acknowledge(1)).unwrap();
    let twice = nodes.tell(0, 2, acknowledge(1));
    assert_eq!(twice, unexpected("Acknowledge", "Owner+"));
    assert_eq!(nodes.rights()[2], Some(Rights::Read));
}
