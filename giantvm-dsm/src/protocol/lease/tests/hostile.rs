//! What a peer must not send, message by message. A refused one changes nothing.

use super::*;
use Access::{Read, Write};

impl Nodes {
    /// Why a message is refused. Checks that it left no trace.
    fn refusal(&mut self, from: u8, to: u8, message: Message) -> Violation {
        let before = self.nodes.clone();
        let mut commands = Vec::new();
        let input = Input::Message {
            from: node(from),
            message,
            payload: message.contents(),
        };
        let handled = self.nodes[usize::from(to)].handle(self.now, input, &mut commands);
        assert_eq!((&self.nodes, commands), (&before, vec![]));
        handled.unwrap_err()
    }
}

fn unexpected(message: &'static str, state: &'static str) -> Violation {
    Violation::Unexpected {
        page: PAGE,
        message,
        state,
    }
}

fn wrong_node(message: &'static str) -> Violation {
    let page = PAGE;
    Violation::WrongNode { page, message }
}

fn stale(message: &'static str, got: u64, expected: u64) -> Violation {
    Violation::Stale {
        page: PAGE,
        message,
        got,
        expected,
    }
}

#[test]
fn a_page_that_does_not_exist_is_refused() {
    let mut nodes = Nodes::new(2);
    let page = PageIndex(4);
    let refused = Err(Violation::NoSuchPage { page, pages: 4 });
    let (access, grant) = (Read, Stamp::ZERO);
    assert_eq!(nodes.tell(1, 0, Message::Evict { page, grant }), refused);
    assert_eq!(nodes.input(0, Input::Fault { page, access }), refused);
    assert_eq!(nodes.input(0, Input::Evict { page }), refused);
}

#[test]
fn a_message_at_the_wrong_node_is_refused() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    nodes.fault(2, Read);
    for message in [request(Read, 0, 0), back(1), leave(0)] {
        assert_eq!(nodes.refusal(2, 1, message), wrong_node(message.name()));
        for from in [0, 9] {
            assert_eq!(nodes.refusal(from, 0, message), wrong_node(message.name()));
        }
    }
    for message in [zeroes(), recall(0, Read, 8)] {
        assert_eq!(nodes.refusal(1, 2, message), wrong_node(message.name()));
        assert_eq!(nodes.refusal(2, 1, message), wrong_node(message.name()));
    }
}

#[test]
fn a_payload_too_many_or_too_few_is_refused() {
    let mut nodes = Nodes::new(2);
    let leased = grant(Rights::Read, 1, 9, Source::Attached);
    for message in [request(Read, 0, 0), leased, zeroes(), back(1), leave(0)] {
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
    let owned = unexpected("Request", "Owned");
    assert_eq!(nodes.refusal(1, 0, request(Read, 0, 0)), owned);
    nodes.say(2, 0, request(Read, 0, 0));
    assert_eq!(nodes.refusal(2, 0, request(Write, 0, 0)), owned);
    // It may have given the page back already, but it asks once.
    nodes.say(1, 0, request(Read, 1, 0));
    assert_eq!(nodes.refusal(1, 0, request(Read, 1, 0)), owned);
}

#[test]
fn a_return_that_no_recall_asked_for_is_refused() {
    let mut nodes = Nodes::new(3);
    assert_eq!(
        nodes.refusal(1, 0, back(1)),
        unexpected("Return", "Untouched")
    );
    nodes.access(1, Write);
    let owned = unexpected("Return", "Owned");
    assert_eq!(nodes.refusal(1, 0, back(1)), owned);
    nodes.say(2, 0, request(Read, 0, 0));
    assert_eq!(nodes.refusal(2, 0, back(1)), owned);
    nodes.say(1, 0, back(1));
    assert_eq!(nodes.refusal(1, 0, back(2)), unexpected("Return", "Shared"));
}

#[test]
fn a_page_cannot_have_been_written_before_it_was_granted() {
    let mut nodes = Nodes::new(3);
    nodes.access(0, Write);
    nodes.access(1, Write);
    nodes.say(2, 0, request(Read, 0, 0));
    assert_eq!(nodes.refusal(1, 0, back(1)), stale("Return", 1, 2));
}

#[test]
fn the_wish_to_evict_by_a_grant_that_was_never_given_is_refused() {
    let mut nodes = Nodes::new(2);
    nodes.access(1, Write);
    assert_eq!(nodes.refusal(1, 0, leave(1)), stale("Evict", 1, 0));
}

#[test]
fn recalls_of_what_one_does_not_have_are_refused() {
    let mut nodes = Nodes::new(2);
    let order = recall(0, Read, 8);
    let invalid = unexpected("Recall", "Invalid");
    assert_eq!(nodes.refusal(0, 1, order), invalid);
    nodes.fault(1, Read);
    let waiting = unexpected("Recall", "Invalid+");
    assert_eq!(nodes.refusal(0, 1, order), waiting);
    nodes.say(0, 1, zeroes());
    assert_eq!(
        nodes.refusal(0, 1, recall(1, Read, 8)),
        stale("Recall", 1, 0)
    );
    nodes.say(0, 1, order);
    let recalled = unexpected("Recall", "Owned, recalled");
    assert_eq!(nodes.refusal(0, 1, order), recalled);
    nodes.time_out(1);
    assert_eq!(nodes.refusal(0, 1, order), unexpected("Recall", "Leased"));
}

#[test]
fn a_recall_that_came_first_must_fit_the_grant() {
    let mut nodes = Nodes::new(2);
    nodes.fault(1, Write);
    nodes.say(0, 1, recall(5, Write, 0));
    let second = nodes.refusal(0, 1, recall(5, Write, 0));
    assert_eq!(second, unexpected("Recall", "Invalid+"));
    let other = grant(Rights::Write, 1, 4, Source::Attached);
    assert_eq!(nodes.refusal(0, 1, other), stale("Grant", 4, 5));
}

#[test]
fn grants_that_no_home_gives_are_refused() {
    use Rights::{Read as ForReading, Write as ForWriting};
    let mut nodes = Nodes::new(2);
    let leased = grant(ForReading, 1, 19, Source::Attached);
    let unasked = unexpected("Grant", "Invalid");
    assert_eq!(nodes.refusal(0, 1, leased), unasked);
    nodes.hear(1, 10);
    nodes.fault(1, Read);
    let waiting = unexpected("Grant", "Invalid+");
    for impossible in [
        // Zeroes that were written, leased, or are to be read by others.
        grant(ForReading, 0, 0, Source::Zero),
        grant(ForWriting, 1, 1, Source::Zero),
        grant(ForWriting, 0, 20, Source::Zero),
        // Bytes that were never written.
        grant(ForReading, 0, 20, Source::Attached),
        grant(ForReading, 0, 20, Source::Held),
        // A lease that ends before the write, or was over when it was asked for.
        grant(ForReading, 21, 20, Source::Attached),
        grant(ForReading, 1, 9, Source::Attached),
        // More than was asked for.
        grant(ForWriting, 1, 20, Source::Attached),
    ] {
        let refused = nodes.refusal(0, 1, impossible);
        assert_eq!(refused, waiting, "{impossible:?}");
    }
    let held = grant(ForReading, 1, 20, Source::Held);
    assert_eq!(nodes.refusal(0, 1, held), stale("Grant", 1, 0));
    assert_eq!(nodes.say(0, 1, leased), [STORE, map(ForReading), WAKE]);
    assert_eq!(nodes.refusal(0, 1, leased), unexpected("Grant", "Leased"));
}

#[test]
fn grants_that_do_not_fit_the_bytes_here_are_refused() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.access(1, Read);
    nodes.fault(1, Write);
    let waiting = unexpected("Grant", "Leased+");
    assert_eq!(nodes.refusal(0, 1, zeroes()), waiting);
    let less = grant(Rights::Read, 1, 9, Source::Held);
    assert_eq!(nodes.refusal(0, 1, less), waiting);
    let of = |written, source| grant(Rights::Write, written, 20, source);
    let refused = nodes.refusal(0, 1, of(2, Source::Held));
    assert_eq!(refused, stale("Grant", 2, 1));
    let refused = nodes.refusal(0, 1, of(1, Source::Attached));
    assert_eq!(refused, stale("Grant", 1, 2));
    nodes.say(0, 1, of(1, Source::Held));
    assert_eq!(nodes.rights()[1], Some(Rights::Write));
}

#[test]
fn a_node_that_claims_bytes_it_cannot_have_gets_the_right_ones() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.later();
    let answer = nodes.say(1, 0, request(Read, 0, 77));
    let given = grant(Rights::Read, 1, 9, Source::Attached);
    assert_eq!(answer, [PROTECT, send(1, given)]);
}
