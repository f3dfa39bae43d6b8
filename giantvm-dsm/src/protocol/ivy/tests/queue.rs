//! Who asks whom, and who is served after whom.

use super::*;
use Access::{Read, Write};

#[test]
fn every_forwarder_learns_who_will_own_the_page() {
    let mut nodes = Nodes::new(6);
    // Each writer asks the home, which sends it on to the one before.
    for at in 1..5 {
        let hops = nodes.access(at, Write).len();
        assert_eq!(hops, if at == 1 { 2 } else { 3 });
    }
    // 5 -> 0 -> 4: all who were asked know node 5 from now on.
    nodes.access(5, Write);
    for asked in [0, 4] {
        let commands = nodes.fault(asked, Read);
        assert_eq!(commands, [send(5, request(asked, Want::Read))]);
    }
}

#[test]
fn a_chain_is_walked_once_and_short_from_then_on() {
    let mut nodes = Nodes::new(6);
    // Owners 1, 2, .. 5, each asking its predecessor: made by hand, as the home would shorten it.
    nodes.access(0, Write);
    for at in 1..6 {
        nodes.later();
        nodes.fault(at, Write);
        let wish = request(at, Want::Write);
        let given = nodes.tell(at, at - 1, wish).unwrap();
        let page = token(u64::from(at), Source::Attached, &[]);
        assert_eq!(given, [unmap(FrameFate::Keep), send(at, page)]);
        nodes.tell(at - 1, at, page).unwrap();
    }
    let names = |messages: &[(u8, Message)]| {
        let names = messages
            .iter()
            .map(|(from, message)| (*from, message.name()));
        names.collect::<Vec<_>>()
    };
    let walk = nodes.access(0, Read);
    let requests = [0, 1, 2, 3, 4].map(|from| (from, "Request"));
    assert_eq!(names(&walk)[..5], requests);
    assert_eq!(names(&walk)[5..], [(5, "Token")]);
    let again = nodes.access(1, Read);
    assert_eq!(names(&again), [(1, "Request"), (0, "Token")]);
}

#[test]
fn requesters_queue_behind_one_another_without_the_owner() {
    let mut nodes = Nodes::new(4);
    nodes.access(0, Write);
    nodes.later();
    for at in 1..4 {
        nodes.fault(at, Write);
    }
    let page = token(1, Source::Attached, &[]);
    let first = nodes.tell(1, 0, request(1, Want::Write)).unwrap();
    assert_eq!(first[1], send(1, page));
    let second = request(2, Want::Write);
    assert_eq!(nodes.tell(2, 0, second), Ok(vec![send(1, second)]));
    let third = request(3, Want::Write);
    assert_eq!(nodes.tell(3, 0, third), Ok(vec![send(2, third)]));
    // Both come to a node that waits itself, which remembers one.
    assert_eq!(nodes.tell(0, 1, second), Ok(vec![]));
    assert_eq!(nodes.tell(0, 2, third), Ok(vec![]));
    assert_eq!(nodes.nodes[1].in_flight(), 2);
    for (from, of) in [(0, 1), (1, 2), (2, 3)] {
        nodes
            .tell(from, from + 1, token(of, Source::Attached, &[]))
            .unwrap();
        nodes.now = Tick(nodes.now.0 + REST.0);
        let given = nodes.input(from + 1, Input::Timeout).unwrap();
        let last = from == 2;
        assert_eq!(given.is_empty(), last);
    }
    assert_eq!(nodes.owner(), 3);
    assert!(nodes.nodes.iter().all(|node| node.in_flight() == 0));
}
