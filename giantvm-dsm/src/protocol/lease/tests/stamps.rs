//! What moves clocks, how long leases are, and the end of time.

use super::*;
use Access::{Read, Write};

#[test]
fn a_clock_never_goes_back() {
    let mut nodes = Nodes::new(2);
    nodes.hear(1, 7);
    nodes.hear(1, 3);
    assert_eq!(nodes.clocks(), [0, 7]);
    nodes.access(1, Write);
    assert_eq!(nodes.clocks(), [0, 7]);
}

#[test]
fn leases_double_until_the_page_is_written() {
    let mut nodes = Nodes::new(3);
    nodes.access(0, Write);
    let mut lengths = Vec::new();
    for _ in 0..20 {
        nodes.access(1, Read);
        let (end, clock) = (nodes.lease(1).unwrap(), nodes.clocks()[1]);
        lengths.push(end - clock);
        nodes.hear(1, end + 1);
    }
    let doubled = (0..20).map(|times| 8 << times.min(17));
    assert_eq!(lengths, doubled.collect::<Vec<_>>());
    for writer in [0, 2] {
        nodes.access(writer, Write);
        nodes.hear(1, nodes.clocks()[usize::from(writer)]);
        nodes.access(1, Read);
        assert_eq!(nodes.lease(1).unwrap() - nodes.clocks()[1], 8);
        nodes.hear(1, nodes.lease(1).unwrap() + 1);
        nodes.access(1, Read);
    }
}

#[test]
fn a_lease_covers_the_readers_clock_and_the_write() {
    let mut nodes = Nodes::new(3);
    nodes.access(0, Write);
    nodes.hear(0, 100);
    nodes.hear(2, 500);
    nodes.access(1, Read);
    assert_eq!((nodes.lease(1), nodes.clocks()[1]), (Some(108), 100));
    nodes.access(2, Read);
    assert_eq!((nodes.lease(2), nodes.clocks()[2]), (Some(516), 500));
}

#[test]
fn new_bytes_end_the_leases_that_were_over_when_they_were_written() {
    let mut nodes = Nodes::new(2);
    let other = PageIndex(0);
    let touch = |nodes: &mut Nodes, at, page, access| {
        nodes.later();
        let commands = nodes.input(at, Input::Fault { page, access }).unwrap();
        nodes.settle(at, commands);
    };
    for page in [PAGE, other] {
        touch(&mut nodes, 0, page, Write);
    }
    touch(&mut nodes, 1, other, Read);
    nodes.hear(0, 10);
    nodes.later();
    nodes.fault(1, Read);
    let answer = nodes.say(1, 0, request(Read, 1, 0));
    let given = grant(Rights::Read, 10, 18, Source::Attached);
    assert_eq!(answer, [PROTECT, send(1, given)]);
    let frame = FrameFate::Retain;
    let ended = Command::Unmap { page: other, frame };
    let mapped = [ended, STORE, map(Rights::Read), WAKE];
    assert_eq!(nodes.say(0, 1, given), mapped);
}

#[test]
fn a_clock_past_the_last_time_halts_its_node_and_ends_its_leases() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.access(1, Read);
    let past = Lease::LAST.after().0;
    assert_eq!(nodes.hear(1, past), [unmap(FrameFate::Retain)]);
    assert!(nodes.nodes[1].is_halted());
    assert_eq!(nodes.clocks()[1], past);
    assert_eq!(nodes.hear(1, u64::MAX), []);
    assert_eq!(nodes.clocks()[1], u64::MAX);
    assert_eq!(nodes.fault(1, Read), []);
}

#[test]
fn no_lease_goes_past_the_last_time_and_no_one_writes_after_it() {
    let mut nodes = Nodes::new(3);
    let last = Lease::LAST.0;
    nodes.access(0, Write);
    nodes.later();
    let longest = grant(Rights::Read, 1, last, Source::Attached);
    let answer = nodes.say(1, 0, request(Read, last, 0));
    assert_eq!(answer, [PROTECT, send(1, longest)]);
    // Neither another node nor the home itself.
    nodes.fault(2, Write);
    let given = grant(Rights::Write, 1, last, Source::Attached);
    let mut home = Nodes {
        nodes: nodes.nodes.clone(),
        now: nodes.now,
    };
    assert_eq!(nodes.say(2, 0, request(Write, 0, 0))[1], send(2, given));
    assert_eq!(nodes.say(0, 2, given), []);
    assert!(nodes.nodes[2].is_halted());
    assert_eq!(nodes.rights()[2], None);
    assert_eq!(home.fault(0, Write), []);
    assert!(home.nodes[0].is_halted());
    assert_eq!(home.rights()[0], Some(Rights::Read));
}

#[test]
fn a_home_that_halts_serves_no_one_else_in_the_queue() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    nodes.later();
    nodes.fault(0, Write);
    nodes.say(2, 0, request(Write, 0, 0));
    let last = Lease::LAST.0;
    assert_eq!(nodes.say(1, 0, back(last)), [STORE, map(Rights::Read)]);
    assert!(nodes.nodes[0].is_halted());
}
