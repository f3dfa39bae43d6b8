//! Each kind of transaction, command by command. The page's home is node 0.

use super::*;
use Access::{Read, Write};

#[test]
fn the_home_touches_its_own_page_without_a_message() {
    for access in [Read, Write] {
        let mut nodes = Nodes::new(2);
        assert_eq!(nodes.fault(0, access), [map_zero(), WAKE]);
        assert_eq!((nodes.clocks(), nodes.lease(0)), (vec![1, 0], None));
        assert_eq!(nodes.nodes[0].in_flight(), 0);
    }
}

#[test]
fn the_first_touch_gets_the_page_itself_without_data() {
    for access in [Read, Write] {
        let mut nodes = Nodes::new(2);
        let asked = request(access, 0, 0);
        assert_eq!(nodes.fault(1, access), [send(0, asked)]);
        assert_eq!(nodes.say(1, 0, asked), [send(1, zeroes())]);
        assert_eq!(nodes.say(0, 1, zeroes()), [map_zero(), WAKE]);
        assert_eq!((nodes.clocks(), nodes.lease(1)), (vec![0, 1], None));
    }
}

#[test]
fn a_read_recalls_the_page_and_its_owner_keeps_a_lease() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    nodes.later();
    nodes.fault(2, Read);
    let order = recall(0, Read, Lease::SHORTEST);
    assert_eq!(nodes.say(2, 0, request(Read, 0, 0)), [send(1, order)]);
    assert_eq!(nodes.say(0, 1, order), [PROTECT, send(0, back(1))]);
    let given = grant(Rights::Read, 1, 9, Source::Attached);
    let shared = [STORE, map(Rights::Read), send(2, given)];
    assert_eq!(nodes.say(1, 0, back(1)), shared);
    let mapped = [STORE, map(Rights::Read), WAKE];
    assert_eq!(nodes.say(0, 2, given), mapped);
    // The home's own copy lasts; whoever reads has seen the time of the write.
    let leases = [0, 1, 2].map(|at| nodes.lease(at));
    assert_eq!(leases, [None, Some(8), Some(9)]);
    assert_eq!(nodes.clocks(), [1, 1, 1]);
    assert!(nodes.nodes.iter().all(|node| node.in_flight() == 0));
}

#[test]
fn a_write_takes_no_copy_away_and_comes_after_every_lease() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    nodes.access(2, Read);
    assert_eq!(nodes.fault(2, Write), [send(0, request(Write, 1, 1))]);
    let given = grant(Rights::Write, 1, 9, Source::Held);
    let answer = nodes.say(2, 0, request(Write, 1, 1));
    assert_eq!(answer, [unmap(FrameFate::Drop), send(2, given)]);
    assert_eq!(nodes.say(0, 2, given), [UNPROTECT, WAKE]);
    let rights = [None, Some(Rights::Read), Some(Rights::Write)];
    assert_eq!(nodes.rights(), rights);
    assert_eq!((nodes.lease(1), nodes.clocks()), (Some(8), vec![1, 1, 10]));
}

#[test]
fn a_write_by_a_node_without_the_bytes_gets_them_from_the_home() {
    let mut nodes = Nodes::new(4);
    nodes.access(1, Write);
    nodes.access(2, Read);
    nodes.fault(3, Write);
    let given = grant(Rights::Write, 1, 9, Source::Attached);
    let answer = nodes.say(3, 0, request(Write, 0, 0));
    assert_eq!(answer, [unmap(FrameFate::Keep), send(3, given)]);
    let mapped = [STORE, map(Rights::Write), WAKE];
    assert_eq!(nodes.say(0, 3, given), mapped);
    assert_eq!(nodes.clocks(), [1, 1, 1, 10]);
}

#[test]
fn a_write_recalls_the_page_and_its_owner_keeps_nothing() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    nodes.later();
    nodes.fault(2, Write);
    let order = recall(0, Write, 0);
    assert_eq!(nodes.say(2, 0, request(Write, 0, 0)), [send(1, order)]);
    let kept = unmap(FrameFate::Keep);
    assert_eq!(nodes.say(0, 1, order), [kept.clone(), send(0, back(1))]);
    let given = grant(Rights::Write, 1, 1, Source::Attached);
    let passed_on = [STORE, map(Rights::Read), kept, send(2, given)];
    assert_eq!(nodes.say(1, 0, back(1)), passed_on);
    nodes.say(0, 2, given);
    assert_eq!(nodes.rights(), [None, None, Some(Rights::Write)]);
    assert_eq!(nodes.clocks(), [1, 1, 2]);
}

#[test]
fn a_home_that_owns_the_page_serves_others_at_once() {
    for (access, gives_up, rights) in [
        (Read, PROTECT, Rights::Read),
        (Write, unmap(FrameFate::Keep), Rights::Write),
    ] {
        let mut nodes = Nodes::new(2);
        nodes.access(0, Write);
        nodes.later();
        nodes.fault(1, access);
        let end = if access == Read { 9 } else { 1 };
        let given = grant(rights, 1, end, Source::Attached);
        let answer = nodes.say(1, 0, request(access, 0, 0));
        assert_eq!(answer, [gives_up, send(1, given)]);
    }
}

#[test]
fn the_home_writes_a_shared_page_after_the_last_lease_without_a_message() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.access(1, Read);
    assert_eq!(nodes.fault(0, Read), [map(Rights::Read), WAKE]);
    assert_eq!(nodes.fault(0, Write), [UNPROTECT, WAKE]);
    assert_eq!((nodes.clocks(), nodes.lease(1)), (vec![10, 1], Some(9)));
}

#[test]
fn a_page_that_is_given_away_is_written_after_what_its_home_has_read() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.access(1, Read);
    nodes.hear(0, 50);
    let answer = nodes.say(1, 0, request(Write, 1, 1));
    assert_eq!(
        answer[1],
        send(1, grant(Rights::Write, 1, 50, Source::Held))
    );
}

#[test]
fn a_lease_that_has_ended_is_renewed_without_data() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.access(1, Read);
    assert_eq!(nodes.hear(1, 10), [unmap(FrameFate::Retain)]);
    assert_eq!(nodes.fault(1, Read), [send(0, request(Read, 10, 1))]);
    // Twice as long as the first.
    let given = grant(Rights::Read, 1, 26, Source::Held);
    assert_eq!(nodes.say(1, 0, request(Read, 10, 1)), [send(1, given)]);
    assert_eq!(nodes.say(0, 1, given), [map(Rights::Read), WAKE]);
    assert_eq!(nodes.lease(1), Some(26));
}

#[test]
fn retained_bytes_that_are_old_are_replaced() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.access(1, Read);
    nodes.access(0, Write);
    nodes.hear(1, 10);
    nodes.later();
    nodes.fault(1, Read);
    let given = grant(Rights::Read, 10, 18, Source::Attached);
    let answer = nodes.say(1, 0, request(Read, 10, 1));
    assert_eq!(answer, [PROTECT, send(1, given)]);
    let mapped = [STORE, map(Rights::Read), WAKE];
    assert_eq!(nodes.say(0, 1, given), mapped);
}

#[test]
fn a_retained_page_is_owned_without_data() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.access(1, Read);
    nodes.hear(1, 20);
    nodes.fault(1, Write);
    let given = grant(Rights::Write, 1, 9, Source::Held);
    nodes.say(1, 0, request(Write, 20, 1));
    assert_eq!(nodes.say(0, 1, given), [map(Rights::Write), WAKE]);
    // The clock was past the end already.
    assert_eq!(nodes.clocks()[1], 20);
}

#[test]
fn an_owner_without_room_asks_once_to_be_recalled() {
    let mut nodes = Nodes::new(2);
    nodes.access(1, Write);
    nodes.later();
    assert_eq!(nodes.evict(1), [send(0, leave(0))]);
    assert_eq!(nodes.evict(1), []);
    let order = recall(0, Write, 0);
    assert_eq!(nodes.say(1, 0, leave(0)), [send(1, order)]);
    let given = [unmap(FrameFate::Keep), send(0, back(1))];
    assert_eq!(nodes.say(0, 1, order), given);
    assert_eq!(nodes.say(1, 0, back(1)), [STORE, map(Rights::Read)]);
    assert_eq!(nodes.rights(), [Some(Rights::Read), None]);
    assert_eq!(nodes.nodes[0].in_flight(), 0);
}

#[test]
fn a_lease_is_given_up_without_a_word_and_its_bytes_with_it() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.access(1, Read);
    assert_eq!(nodes.evict(1), [unmap(FrameFate::Drop)]);
    assert_eq!(nodes.evict(1), []);
    assert_eq!(nodes.fault(1, Read), [send(0, request(Read, 1, 0))]);
    // Not while an answer may say that the bytes are here.
    let answer = nodes.say(1, 0, request(Read, 1, 0));
    nodes.settle(0, answer);
    nodes.hear(1, 100);
    nodes.fault(1, Read);
    assert_eq!(nodes.evict(1), []);
    let answer = nodes.say(1, 0, request(Read, 100, 1));
    nodes.settle(0, answer);
    nodes.hear(1, 1_000);
    assert_eq!(nodes.evict(1), [unmap(FrameFate::Drop)]);
    assert_eq!(nodes.evict(1), []);
    assert_eq!(nodes.fault(1, Read), [send(0, request(Read, 1_000, 0))]);
}

#[test]
fn the_home_keeps_what_it_is_home_to() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    assert_eq!(nodes.evict(0), []);
    nodes.access(1, Read);
    assert_eq!(nodes.evict(0), []);
    assert_eq!(nodes.rights(), [Some(Rights::Read); 2]);
}
