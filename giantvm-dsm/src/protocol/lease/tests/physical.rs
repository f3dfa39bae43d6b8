//! Leases are looked after in physical time.

use super::*;
use Access::{Read, Write};

/// A page that the home has written and node 1 reads.
fn shared() -> Nodes {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.access(1, Read);
    nodes
}

#[test]
fn a_lease_is_refreshed_ever_more_rarely_and_unmapped_when_no_one_may_be_reading() {
    let mut nodes = shared();
    let (mut since, mut times) = (nodes.now, Vec::new());
    for _ in 0..Lease::IDLE_REFRESHES {
        let asked = nodes.time_out(1);
        let held = request(Read, 1, 1);
        assert_eq!(asked, [send(0, held)]);
        // It stays mapped, and is asked for once.
        assert_eq!(nodes.rights()[1], Some(Rights::Read));
        assert_eq!(nodes.nodes[1].next_timeout(), None);
        times.push((nodes.now.0 - since.0) / REFRESH.0);
        since = nodes.now;
        assert_eq!(nodes.settle(1, asked), 2);
    }
    assert_eq!(times, [1, 2, 4, 8, 16, 16, 16, 16]);
    assert_eq!(nodes.time_out(1), [unmap(FrameFate::Retain)]);
    assert_eq!(nodes.nodes[1].next_timeout(), None);
    assert_eq!(nodes.nodes[1].in_flight(), 0);
    // Whoever does read has it again without data.
    nodes.fault(1, Read);
    let answer = nodes.say(1, 0, request(Read, 1, 1));
    assert!(matches!(
        answer[..],
        [Command::Send {
            attach: Attach::Nothing,
            ..
        }]
    ));
}

#[test]
fn a_renewal_that_changes_nothing_gives_no_command() {
    let mut nodes = shared();
    let asked = nodes.time_out(1);
    let answer = nodes.settle_first(1, &asked);
    assert_eq!(nodes.say(0, 1, answer), []);
    assert_eq!(nodes.lease(1), Some(17));
}

#[test]
fn what_was_written_meanwhile_replaces_the_copy_in_one_step_with_the_clock() {
    let mut nodes = shared();
    for _ in 0..2 {
        let asked = nodes.time_out(1);
        nodes.settle(1, asked);
    }
    nodes.access(0, Write);
    let asked = nodes.time_out(1);
    let given = nodes.settle_first(1, &asked);
    assert_eq!(given, grant(Rights::Read, 34, 42, Source::Attached));
    let replaced = [unmap(FrameFate::Retain), STORE, map(Rights::Read)];
    assert_eq!(nodes.say(0, 1, given), replaced);
    assert_eq!((nodes.lease(1), nodes.clocks()[1]), (Some(42), 34));
    // Who writes once may write again: back to the shortest time.
    let due = nodes.nodes[1].next_timeout().unwrap();
    assert_eq!(due.0 - nodes.now.0, REFRESH.0);
}

#[test]
fn a_copy_that_is_replaced_again_and_again_is_unmapped_too_without_a_fault() {
    let mut nodes = shared();
    for _ in 0..Lease::IDLE_REFRESHES {
        nodes.access(0, Write);
        let asked = nodes.time_out(1);
        nodes.settle(1, asked);
    }
    assert_eq!(nodes.time_out(1), [unmap(FrameFate::Retain)]);
}

#[test]
fn a_fault_makes_a_copy_worth_being_refreshed_again() {
    let mut nodes = shared();
    for _ in 0..3 * Lease::IDLE_REFRESHES {
        nodes.fault(1, Read);
        let asked = nodes.time_out(1);
        assert_eq!(nodes.settle(1, asked), 2);
    }
    assert_eq!(nodes.rights()[1], Some(Rights::Read));
}

#[test]
fn a_lease_that_ends_while_it_is_refreshed_stays_unmapped_until_someone_wants_it() {
    let mut nodes = shared();
    let asked = nodes.time_out(1);
    assert_eq!(nodes.hear(1, 10), [unmap(FrameFate::Retain)]);
    let mut wanted = Nodes {
        nodes: nodes.nodes.clone(),
        now: nodes.now,
    };
    let renewed = nodes.settle_first(1, &asked);
    assert_eq!(nodes.say(0, 1, renewed), []);
    assert_eq!((nodes.lease(1), nodes.nodes[1].in_flight()), (None, 0));
    // A thread that faults meanwhile needs no other request.
    assert_eq!(wanted.fault(1, Read), []);
    wanted.settle_first(1, &asked);
    assert_eq!(wanted.say(0, 1, renewed), [map(Rights::Read), WAKE]);
}

#[test]
fn a_write_fault_while_a_copy_is_refreshed_is_answered_and_tried_again() {
    let mut nodes = shared();
    let asked = nodes.time_out(1);
    assert_eq!(nodes.fault(1, Write), []);
    let renewed = nodes.settle_first(1, &asked);
    assert_eq!(nodes.say(0, 1, renewed), [WAKE]);
    assert_eq!(nodes.fault(1, Write), [send(0, request(Write, 1, 1))]);
}

#[test]
fn a_copy_that_is_being_upgraded_is_not_refreshed() {
    let mut nodes = shared();
    nodes.fault(1, Write);
    assert_eq!(nodes.time_out(1), []);
    assert_eq!(nodes.nodes[1].next_timeout(), None);
}

#[test]
fn a_node_with_very_many_leases_asks_for_a_few_at_a_time() {
    let most = Lease::MOST_REFRESHES;
    let count = most as u64 + 10;
    let mut nodes = Nodes::with_pages(2, 2 * count);
    for page in (0..count).map(PageIndex) {
        for (at, access) in [(0, Write), (1, Read)] {
            nodes.later();
            let commands = nodes.input(at, Input::Fault { page, access }).unwrap();
            nodes.settle(at, commands);
        }
    }
    nodes.now = Tick(nodes.now.0 + REFRESH.0);
    let asked = nodes.input(1, Input::Timeout).unwrap();
    assert_eq!((asked.len(), nodes.nodes[1].refreshing), (most, most));
    // Nothing to wait for but the answers; then the others' turn has come long ago.
    assert_eq!(nodes.nodes[1].next_timeout(), None);
    nodes.settle(1, asked);
    assert!(nodes.nodes[1].next_timeout().unwrap() < nodes.now);
    let asked = nodes.input(1, Input::Timeout).unwrap();
    assert_eq!((asked.len(), nodes.nodes[1].refreshing), (10, 10));
    // A refresh that a thread waits for is a request like others.
    nodes.hear(1, 1_000);
    let Command::Send { message, .. } = asked[0] else {
        panic!("{asked:?}");
    };
    let (page, access) = (crate::protocol::PageMessage::page(&message), Read);
    nodes.input(1, Input::Fault { page, access }).unwrap();
    assert_eq!(nodes.nodes[1].refreshing, 9);
}

impl Nodes {
    /// Lets the home have the only message of `commands`, and gives its answer.
    fn settle_first(&mut self, from: u8, commands: &Commands) -> Message {
        let [Command::Send { message, .. }] = commands[..] else {
            panic!("{commands:?}");
        };
        match self.say(from, 0, message).last() {
            Some(Command::Send { message, .. }) => *message,
            other => panic!("{other:?}"),
        }
    }
}
