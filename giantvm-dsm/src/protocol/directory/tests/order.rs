//! Messages in other orders than they were sent, queues, rest and loss.

use super::*;
use Access::{Read, Write};

/// Nodes 1 (owner) and 2 share the page; node 3 is about to write it. Returns what the home sent.
fn three_way() -> (Nodes, [Message; 3]) {
    let mut nodes = Nodes::new(4);
    nodes.access(1, Write);
    nodes.access(2, Read);
    nodes.fault(3, Write);
    nodes.tell(3, 0, request(Write)).unwrap();
    nodes.tell(0, 1, fetch(3, 1, 3, Write)).unwrap();
    nodes.tell(0, 2, invalidate(3, 1, 3)).unwrap();
    let promise = grant(3, Rights::Write, 1, Source::Node(node(1)), &[2]);
    (nodes, [promise, data(3, 1), acknowledge(3)])
}

#[test]
fn grant_data_and_acknowledgement_may_come_in_any_order() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let (mut nodes, messages) = three_way();
        let mut commands = Vec::new();
        for which in order {
            // The sender's number is the message's: home 0, owner 1, sharer 2.
            commands.push(nodes.tell(which, 3, messages[usize::from(which)]).unwrap());
        }
        let last = commands.pop().unwrap();
        let end = [map(Rights::Write), send(0, done(3)), WAKE];
        assert!(last.ends_with(&end), "{order:?}: {last:?}");
        let all = commands.concat().into_iter().chain(last);
        let stores = all.filter(|command| *command == STORE).count();
        assert_eq!(stores, 1, "{order:?}");
    }
}

#[test]
fn a_queue_is_served_in_turn_with_a_rest_between() {
    let mut nodes = Nodes::new(4);
    nodes.fault(1, Write);
    nodes.fault(2, Write);
    nodes.fault(3, Read);
    nodes.tell(1, 0, request(Write)).unwrap();
    let hurry = send(1, Message::Hurry { page: PAGE });
    assert_eq!(nodes.tell(2, 0, request(Write)), Ok(vec![hurry]));
    assert_eq!(nodes.tell(3, 0, request(Read)), Ok(vec![]));
    nodes
        .tell(0, 1, grant(1, Rights::Write, 0, Source::Zero, &[]))
        .unwrap();
    assert_eq!(nodes.0[0].next_timeout(), None);
    assert_eq!(nodes.tell(1, 0, done(1)), Ok(vec![]));
    assert_eq!(nodes.0[0].next_timeout(), Some(REST));
    let early = nodes.input_at(Tick(REST.0 - 1), 0, Input::Timeout);
    assert_eq!(early, Ok(vec![]));
    let second = nodes.input_at(REST, 0, Input::Timeout).unwrap();
    assert_eq!(second[0], send(1, fetch(2, 1, 2, Write)));
    assert_eq!(nodes.0[0].next_timeout(), None);
    nodes.settle(0, second);
    let third = nodes.input_at(REST, 0, Input::Timeout).unwrap();
    assert_eq!(third[0], send(2, fetch(3, 2, 3, Read)));
    nodes.settle(0, third);
    assert!(nodes.0.iter().all(|node| node.in_flight() == 0));
}

#[test]
fn the_last_word_of_a_calm_page_may_wait_until_the_home_says_that_somebody_does() {
    for told_early in [true, false] {
        let mut nodes = Nodes::new(3);
        nodes.fault(1, Write);
        let promise = calm(grant(1, Rights::Write, 0, Source::Zero, &[]));
        let granted = nodes.tell(1, 0, request(Write));
        assert_eq!(granted, Ok(vec![send(1, promise)]));
        // The first who waits, and no other.
        nodes.fault(2, Write);
        let hurry = Message::Hurry { page: PAGE };
        assert_eq!(nodes.tell(2, 0, request(Write)), Ok(vec![send(1, hurry)]));
        assert_eq!(nodes.fault(0, Read), []);
        if told_early {
            assert_eq!(nodes.tell(0, 1, hurry), Ok(vec![]));
        }
        let end = nodes.tell(0, 1, promise).unwrap();
        assert_eq!(end.contains(&LINGER), !told_early);
        // One that comes too late changes nothing, from whomever.
        assert_eq!(nodes.tell(2, 1, hurry), Ok(vec![]));
    }
}

#[test]
fn a_page_that_another_node_had_a_moment_ago_is_not_calm() {
    let long_ago = Tick(10_000_000);
    for (now, is_calm) in [(Tick(REST.0), false), (long_ago, true)] {
        let mut nodes = Nodes::new(3);
        nodes.access(1, Write);
        let input = Input::Message {
            from: node(2),
            message: request(Read),
            payload: Contents::Nothing,
        };
        nodes.fault(2, Read);
        let served = nodes.input_at(now, 0, input).unwrap();
        let promise = grant(2, Rights::Read, 1, Source::Node(node(1)), &[]);
        let promise = if is_calm { calm(promise) } else { promise };
        assert_eq!(served[1], send(2, promise));
        // Who waits is heard of without asking, then.
        let waits = nodes.fault(0, Read);
        assert_eq!(waits.len(), usize::from(is_calm));
    }
}

#[test]
fn without_rest_the_next_request_is_served_at_once() {
    let mut nodes = Nodes::new(3);
    nodes.0[0].rest = Tick(0);
    nodes.fault(1, Write);
    nodes.fault(2, Write);
    nodes.tell(1, 0, request(Write)).unwrap();
    nodes.tell(2, 0, request(Write)).unwrap();
    nodes
        .tell(0, 1, grant(1, Rights::Write, 0, Source::Zero, &[]))
        .unwrap();
    let next = nodes.tell(1, 0, done(1)).unwrap();
    assert_eq!(next[0], send(1, fetch(2, 1, 2, Write)));
}

#[test]
fn the_directory_says_who_may_hold_a_page_during_and_after_a_transaction() {
    let (mut nodes, messages) = three_way();
    let view = nodes.0[0].entry(PAGE).unwrap();
    assert!(view.busy);
    assert_eq!(view.possible, set(&[1, 2, 3]));
    for (from, message) in (0..).zip(messages) {
        nodes.tell(from, 3, message).unwrap();
    }
    nodes.tell(3, 0, done(3)).unwrap();
    let view = nodes.0[0].entry(PAGE).unwrap();
    assert!(!view.busy);
    assert_eq!(view.possible, set(&[3]));
    assert_eq!(nodes.0[1].entry(PAGE), None);
}

#[test]
fn after_a_loss_faults_are_remembered_and_nothing_is_answered() {
    let (mut nodes, messages) = three_way();
    let lost = Input::Lost { node: node(2) };
    assert_eq!(nodes.input(3, lost.clone()), Ok(vec![]));
    for (from, message) in (0..).zip(messages) {
        assert_eq!(nodes.tell(from, 3, message), Ok(vec![]));
    }
    assert_eq!(nodes.0[3].rights(PAGE), None);
    assert_eq!(nodes.0[3].in_flight(), 1);
    // A holder keeps its copy but answers no fault and no order.
    nodes.access(0, Write);
    nodes.input(0, lost).unwrap();
    assert_eq!(nodes.fault(0, Write), []);
    assert_eq!(nodes.tell(1, 0, request(Read)), Ok(vec![]));
    assert_eq!(nodes.input(0, Input::Timeout), Ok(vec![]));
    assert!(nodes.0[0].is_halted());
    assert_eq!(nodes.0[0].next_timeout(), None);
}
