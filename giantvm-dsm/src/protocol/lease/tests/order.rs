//! Messages in other orders than they were sent, queues, rest and loss.

use super::*;
use Access::{Read, Write};

#[test]
fn a_recall_that_overtakes_its_page_is_obeyed_when_the_page_has_rested() {
    let mut nodes = Nodes::new(3);
    nodes.access(0, Write);
    nodes.later();
    nodes.fault(1, Write);
    nodes.fault(2, Read);
    let given = grant(Rights::Write, 1, 1, Source::Attached);
    let first = nodes.say(1, 0, request(Write, 0, 0));
    assert_eq!(first[1], send(1, given));
    let order = recall(1, Read, Lease::SHORTEST);
    assert_eq!(nodes.say(2, 0, request(Read, 0, 0)), [send(1, order)]);
    assert_eq!(nodes.say(0, 1, order), []);
    let mapped = [STORE, map(Rights::Write), WAKE];
    assert_eq!(nodes.say(0, 1, given), mapped);
    assert_eq!(nodes.evict(1), []);
    assert_eq!(nodes.time_out(1), [PROTECT, send(0, back(2))]);
    assert_eq!(nodes.lease(1), Some(8));
}

#[test]
fn a_page_that_came_long_ago_is_given_back_at_once() {
    let mut nodes = Nodes::new(2);
    nodes.access(1, Write);
    nodes.now = Tick(nodes.now.0 + REST.0 - 1);
    nodes.fault(0, Read);
    let order = recall(0, Read, Lease::SHORTEST);
    let mut patient = Nodes {
        nodes: nodes.nodes.clone(),
        now: Tick(nodes.now.0 + 1),
    };
    assert_eq!(nodes.say(0, 1, order), []);
    assert_eq!(patient.say(0, 1, order), [PROTECT, send(0, back(1))]);
}

#[test]
fn a_request_that_overtakes_the_return_waits_for_it() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    nodes.later();
    nodes.fault(2, Write);
    nodes.say(2, 0, request(Write, 0, 0));
    nodes.say(0, 1, recall(0, Write, 0));
    assert_eq!(nodes.fault(1, Read), [send(0, request(Read, 1, 0))]);
    assert_eq!(nodes.say(1, 0, request(Read, 1, 0)), []);
    let served = nodes.say(1, 0, back(1));
    let given = grant(Rights::Write, 1, 1, Source::Attached);
    // The page goes on to node 2, and is recalled for node 1 straight away.
    let order = recall(1, Read, 1 + Lease::SHORTEST);
    assert_eq!(served[3..], [send(2, given), send(2, order)]);
}

#[test]
fn a_wish_to_evict_that_comes_too_late_is_nothing() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    nodes.later();
    assert_eq!(nodes.evict(1), [send(0, leave(0))]);
    nodes.fault(2, Write);
    nodes.say(2, 0, request(Write, 0, 0));
    assert_eq!(nodes.say(1, 0, leave(0)), []);
    nodes.say(0, 1, recall(0, Write, 0));
    nodes.say(1, 0, back(1));
    assert_eq!(nodes.say(1, 0, leave(0)), []);
    // The new owner's wish names its own grant.
    nodes.say(0, 2, grant(Rights::Write, 1, 1, Source::Attached));
    nodes.later();
    assert_eq!(nodes.evict(2), [send(0, leave(1))]);
    assert_eq!(nodes.say(2, 0, leave(1)), [send(2, recall(1, Write, 0))]);
}

#[test]
fn readers_in_the_queue_are_served_together_and_in_turn() {
    let mut nodes = Nodes::new(4);
    nodes.access(1, Write);
    nodes.later();
    nodes.fault(0, Read);
    nodes.fault(2, Read);
    nodes.fault(3, Read);
    assert_eq!(nodes.say(2, 0, request(Read, 0, 0)), []);
    assert_eq!(nodes.say(3, 0, request(Read, 0, 0)), []);
    assert_eq!(nodes.nodes[0].in_flight(), 2);
    let served = nodes.say(1, 0, back(1));
    let [second, third] = [9, 17].map(|end| grant(Rights::Read, 1, end, Source::Attached));
    let all = [
        STORE,
        map(Rights::Read),
        WAKE,
        send(2, second),
        send(3, third),
    ];
    assert_eq!(served, all);
    assert_eq!(nodes.nodes[0].in_flight(), 0);
}

#[test]
fn a_page_rests_at_its_home_too() {
    let mut nodes = Nodes::new(2);
    nodes.later();
    nodes.fault(0, Write);
    nodes.fault(1, Read);
    assert_eq!(nodes.say(1, 0, request(Read, 0, 0)), []);
    assert_eq!(nodes.fault(0, Write), [map(Rights::Write), WAKE]);
    let given = grant(Rights::Read, 1, 9, Source::Attached);
    assert_eq!(nodes.time_out(0), [PROTECT, send(1, given)]);
}

#[test]
fn a_lease_that_has_ended_when_it_comes_is_asked_for_again_and_then_the_page() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.later();
    nodes.fault(1, Read);
    nodes.say(1, 0, request(Read, 0, 0));
    nodes.hear(1, 10);
    // The bytes stay, so that they need not come again.
    let late = grant(Rights::Read, 1, 9, Source::Attached);
    let again = request(Read, 10, 1);
    assert_eq!(nodes.say(0, 1, late), [STORE, send(0, again)]);
    let renewed = grant(Rights::Read, 1, 26, Source::Held);
    assert_eq!(nodes.say(1, 0, again), [send(1, renewed)]);
    nodes.hear(1, 27);
    assert_eq!(nodes.say(0, 1, renewed), [send(0, request(Write, 27, 1))]);
    assert_eq!(nodes.rights()[1], None);
    let own = grant(Rights::Write, 1, 26, Source::Held);
    let answer = nodes.say(1, 0, request(Write, 27, 1));
    assert_eq!(answer[1], send(1, own));
    nodes.hear(1, 1_000);
    assert_eq!(nodes.say(0, 1, own), [map(Rights::Write), WAKE]);
}

#[test]
fn faults_while_a_request_is_under_way_add_no_other() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.later();
    nodes.fault(1, Read);
    assert_eq!(nodes.fault(1, Read), []);
    assert_eq!(nodes.fault(1, Write), []);
    assert_eq!(nodes.nodes[1].in_flight(), 1);
}

#[test]
fn after_a_loss_faults_are_remembered_and_leases_still_end() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    nodes.access(2, Read);
    let lost = Input::Lost { node: node(1) };
    for at in [0, 2] {
        assert_eq!(nodes.input(at, lost.clone()), Ok(vec![]));
        assert!(nodes.nodes[usize::from(at)].is_halted());
        assert_eq!(nodes.nodes[usize::from(at)].next_timeout(), None);
    }
    assert_eq!(nodes.fault(2, Write), []);
    assert_eq!(nodes.evict(2), []);
    assert_eq!(nodes.say(2, 0, request(Write, 1, 1)), []);
    assert_eq!(nodes.nodes[2].in_flight(), 1);
    assert_eq!(nodes.rights()[2], Some(Rights::Read));
    assert_eq!(nodes.hear(2, 9), []);
    assert_eq!(nodes.hear(2, 10), [unmap(FrameFate::Retain)]);
    assert_eq!(nodes.input(2, Input::Timeout), Ok(vec![]));
}
