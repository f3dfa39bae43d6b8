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

fn wrong_node(message: &'static str) -> Result<Commands, Violation> {
    let page = PAGE;
    Err(Violation::WrongNode { page, message })
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
fn the_first_of_a_page_that_does_not_exist_is_refused() {
    let mut nodes = Nodes::new(2);
    let page = PageIndex(4);
    let message = Message::Request { page, access: Read };
    let refused = Err(Violation::NoSuchPage { page, pages: 4 });
    assert_eq!(nodes.tell(1, 0, message), refused);
    let fault = Input::Fault { page, access: Read };
    assert_eq!(nodes.input(0, fault), refused);
}

#[test]
fn a_message_at_the_wrong_node_is_refused() {
    let mut nodes = Nodes::new(3);
    assert_eq!(nodes.tell(0, 1, request(Read)), wrong_node("Request"));
    assert_eq!(nodes.tell(0, 1, done(1)), wrong_node("Done"));
    assert_eq!(nodes.tell(0, 0, done(1)), wrong_node("Done"));
    assert_eq!(nodes.tell(9, 0, done(1)), wrong_node("Done"));
    nodes.access(1, Write);
    let zero = grant(1, Rights::Write, 0, Source::Zero, &[]);
    assert_eq!(nodes.tell(2, 1, zero), wrong_node("Grant"));
    assert_eq!(nodes.tell(2, 1, fetch(2, 1, 2, Write)), wrong_node("Fetch"));
    assert_eq!(
        nodes.tell(2, 1, invalidate(2, 1, 2)),
        wrong_node("Invalidate")
    );
}

#[test]
fn a_payload_too_many_or_too_few_is_refused() {
    let mut nodes = Nodes::new(2);
    for message in [
        request(Read),
        data(1, 1),
        grant(1, Rights::Read, 1, Source::Attached, &[]),
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
fn a_request_for_what_one_has_or_has_asked_for_is_refused() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    let refused = unexpected("Request", "Exclusive");
    assert_eq!(nodes.tell(1, 0, request(Read)), refused);
    assert_eq!(nodes.tell(1, 0, request(Write)), refused);
    nodes.tell(2, 0, request(Read)).unwrap();
    let shared = unexpected("Request", "Shared");
    assert_eq!(nodes.tell(2, 0, request(Write)), shared);
    assert_eq!(nodes.tell(1, 0, request(Read)), shared);
    nodes.tell(1, 0, request(Write)).unwrap();
    assert_eq!(nodes.tell(1, 0, request(Write)), shared);
}

#[test]
fn a_done_of_another_node_or_transaction_is_refused() {
    let mut nodes = Nodes::new(3);
    assert_eq!(nodes.tell(1, 0, done(0)), unexpected("Done", "Untouched"));
    nodes.tell(1, 0, request(Write)).unwrap();
    assert_eq!(nodes.tell(2, 0, done(1)), unexpected("Done", "Exclusive"));
    assert_eq!(nodes.tell(1, 0, done(2)), stale("Done", 2, 1));
    nodes.tell(1, 0, done(1)).unwrap();
    assert_eq!(nodes.tell(1, 0, done(1)), unexpected("Done", "Exclusive"));
}

#[test]
fn orders_that_do_not_fit_the_copy_are_refused() {
    let mut nodes = Nodes::new(3);
    assert_eq!(
        nodes.tell(0, 1, fetch(1, 0, 2, Read)),
        unexpected("Fetch", "Invalid")
    );
    nodes.fault(1, Write);
    assert_eq!(
        nodes.tell(0, 1, invalidate(1, 0, 2)),
        unexpected("Invalidate", "Invalid+")
    );
    nodes.tell(1, 0, request(Write)).unwrap();
    nodes
        .tell(0, 1, grant(1, Rights::Write, 0, Source::Zero, &[]))
        .unwrap();
    assert_eq!(
        nodes.tell(0, 1, invalidate(2, 1, 2)),
        unexpected("Invalidate", "Write")
    );
    assert_eq!(
        nodes.tell(0, 1, fetch(2, 1, 1, Read)),
        unexpected("Fetch", "Write")
    );
    assert_eq!(
        nodes.tell(0, 1, fetch(2, 1, 9, Read)),
        unexpected("Fetch", "Write")
    );
    assert_eq!(nodes.tell(0, 1, fetch(2, 2, 2, Read)), stale("Fetch", 2, 1));
}

#[test]
fn grants_that_no_home_gives_are_refused() {
    let mut nodes = Nodes::new(4);
    let zero = grant(1, Rights::Write, 0, Source::Zero, &[]);
    assert_eq!(nodes.tell(0, 3, zero), unexpected("Grant", "Invalid"));
    nodes.fault(3, Write);
    let other = Source::Node(node(1));
    for impossible in [
        grant(1, Rights::Read, 1, other, &[]),
        grant(1, Rights::Write, 0, Source::Held, &[]),
        grant(1, Rights::Write, 1, Source::Zero, &[]),
        grant(1, Rights::Write, 0, Source::Zero, &[1]),
        grant(1, Rights::Write, 1, other, &[1]),
        grant(1, Rights::Write, 1, other, &[3]),
        grant(1, Rights::Write, 1, other, &[0]),
        grant(1, Rights::Write, 1, other, &[9]),
        grant(1, Rights::Write, 1, Source::Node(node(0)), &[]),
        grant(1, Rights::Write, 1, Source::Node(node(3)), &[]),
        grant(1, Rights::Write, 1, Source::Node(node(9)), &[]),
    ] {
        let refused = nodes.tell(0, 3, impossible);
        assert_eq!(refused, unexpected("Grant", "Invalid+"), "{impossible:?}");
    }
    nodes
        .tell(0, 3, grant(1, Rights::Write, 1, other, &[2]))
        .unwrap();
    let again = nodes.tell(0, 3, grant(1, Rights::Write, 1, other, &[2]));
    assert_eq!(again, unexpected("Grant", "Invalid+"));
    assert_eq!(nodes.tell(2, 3, data(1, 1)), unexpected("Data", "Invalid+"));
    assert_eq!(nodes.tell(1, 3, data(1, 2)), stale("Data", 2, 1));
    assert_eq!(nodes.tell(1, 3, data(2, 1)), stale("Data", 2, 1));
    assert_eq!(
        nodes.tell(1, 3, acknowledge(1)),
        unexpected("Acknowledge", "Invalid+")
    );
    assert_eq!(nodes.tell(2, 3, acknowledge(2)), stale("Acknowledge", 2, 1));
    nodes.tell(1, 3, data(1, 1)).unwrap();
    assert_eq!(nodes.tell(1, 3, data(1, 1)), unexpected("Data", "Invalid+"));
    assert_eq!(nodes.0[3].rights(PAGE), None);
}

#[test]
fn what_came_before_a_grant_must_fit_it() {
    let other = Source::Node(node(1));
    let promise = |number, of, awaited| grant(number, Rights::Write, of, other, awaited);
    let after = |from, early: Message, promise| {
        let mut nodes = Nodes::new(4);
        nodes.fault(3, Write);
        nodes.tell(from, 3, early).unwrap();
        nodes.tell(0, 3, promise)
    };
    let refused = unexpected("Grant", "Invalid+");
    assert_eq!(after(2, data(1, 1), promise(1, 1, &[])), refused);
    assert_eq!(after(1, data(1, 2), promise(1, 1, &[])), refused);
    assert_eq!(after(1, acknowledge(1), promise(1, 1, &[2])), refused);
    assert_eq!(
        after(1, data(2, 1), promise(1, 1, &[])),
        stale("Grant", 1, 2)
    );
    assert_eq!(after(1, data(1, 1), promise(1, 1, &[2])), Ok(vec![]));
}

#[test]
fn a_home_believes_no_one_before_it_serves_itself() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    // Node 2 is being served, so the home's own request waits in its own queue.
    nodes.tell(2, 0, request(Write)).unwrap();
    assert_eq!(nodes.fault(0, Write), []);
    assert_eq!(nodes.tell(1, 0, data(2, 1)), unexpected("Data", "Invalid+"));
    assert_eq!(
        nodes.tell(1, 0, acknowledge(2)),
        unexpected("Acknowledge", "Invalid+")
    );
}

#[test]
fn an_acknowledgement_that_comes_twice_is_refused() {
    let mut nodes = Nodes::new(4);
    nodes.fault(3, Write);
    let promise = grant(1, Rights::Write, 1, Source::Node(node(1)), &[2]);
    nodes.tell(0, 3, promise).unwrap();
    nodes.tell(2, 3, acknowledge(1)).unwrap();
    let again = nodes.tell(2, 3, acknowledge(1));
    assert_eq!(again, unexpected("Acknowledge", "Invalid+"));
}
