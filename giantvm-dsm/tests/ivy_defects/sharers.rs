//! The owner's list of sharers, and how its messages travel.

use giantvm_core::wire::HEADER;
use giantvm_core::{PageIndex, Version};
use giantvm_dsm::protocol::ivy::{Message, Want};
use giantvm_dsm::protocol::{Access, CoherenceProtocol, Command, Input, PageMessage, Rights};

use super::support::{Nodes, PAGE, node, request, set, tokens};

/// Nodes that all read the page, the last one its owner.
fn readers(count: usize) -> Nodes {
    let mut nodes = Nodes::new(count, 1);
    nodes.access(0, Access::Write);
    for at in 1..count {
        nodes.access(at, Access::Read);
    }
    nodes
}

#[test]
fn defect_1_a_request_that_has_to_wait_never_loses_the_copyset() {
    // The owner rests, so a writer's request has to wait and is taken up again.
    let mut nodes = readers(5);
    let before = nodes.nodes[4].owned(PAGE);
    nodes.fault(0, PAGE, Access::Write);
    nodes.settle();
    assert_eq!(nodes.nodes[4].owned(PAGE), before);
    assert_eq!(before.unwrap().sharers, set(0..4));
    nodes.rest();
    nodes.feed(4, Input::Timeout);
    let letters = nodes.settle();
    assert_eq!(tokens(&letters)[0].sharers, set(1..4));
    for at in 1..5 {
        assert_eq!(nodes.nodes[at].rights(PAGE), None, "node {at}");
    }
    assert_eq!(nodes.nodes[0].rights(PAGE), Some(Rights::Write));
}

#[test]
fn defect_7_data_goes_in_one_hop_through_a_chain_of_forwarders() {
    let mut nodes = Nodes::new(6, 1);
    nodes.access(0, Access::Write);
    // Each node takes the page from the one before it, which alone learns of it: a chain of hints.
    for at in 1..6 {
        nodes.rest();
        nodes.fault(at, PAGE, Access::Write);
        // The request goes to its owner straight away, not by way of the home.
        nodes.intercept().unwrap();
        nodes.tell(at, at - 1, request(at, Want::Write));
        nodes.settle();
    }
    let letters = nodes.access(0, Access::Read);
    let hops = letters.len() - tokens(&letters).len();
    assert_eq!(hops, 5, "0 -> 1 -> 2 -> 3 -> 4 -> 5");
    let pages: Vec<_> = letters.iter().filter(|letter| letter.with_page).collect();
    assert_eq!(pages.len(), 1);
    assert_eq!((pages[0].from, pages[0].to), (5, 0));
    // And no one has to walk the chain again.
    for at in 1..5 {
        assert!(nodes.access(at, Access::Read).len() <= 3);
    }
}

#[test]
fn defect_8_k_sharers_are_invalidated_at_once() {
    let mut nodes = readers(64);
    let write = Input::Fault {
        page: PAGE,
        access: Access::Write,
    };
    let commands = nodes.feed(63, write);
    let told = commands.iter().filter_map(|command| match command {
        Command::Send { to, message, .. } => Some((to.index(), *message)),
        _ => None,
    });
    let invalidate = Message::Invalidate {
        page: PAGE,
        version: Version::new(1).unwrap(),
    };
    assert!(told.eq((0..63).map(|at| (at, invalidate))));
    let answers = nodes.settle();
    assert_eq!(answers.len(), 2 * 63);
    assert_eq!(nodes.nodes[63].rights(PAGE), Some(Rights::Write));
}

#[test]
fn defect_8_only_data_takes_more_than_64_bytes() {
    let mut nodes = Nodes::new(4, 1);
    let mut letters = Vec::new();
    for at in [1, 2, 3, 1, 0] {
        letters.extend(nodes.access(at, Access::Read));
        letters.extend(nodes.access(at, Access::Write));
    }
    assert!(letters.len() > 20);
    for letter in letters {
        let (_, body) = letter.message.encode();
        // The engine numbers messages in four bytes.
        assert!(HEADER + body.as_slice().len() + 4 <= 64);
    }
}

#[test]
fn defect_13_an_invalidation_leaves_the_probable_owner_alone() {
    let mut nodes = readers(3);
    // Node 1 gave the page to node 2, and is told to drop its copy by that one's successor.
    nodes.access(0, Access::Write);
    let asked = Input::Fault {
        page: PageIndex(0),
        access: Access::Read,
    };
    let commands = nodes.feed(1, asked);
    let to = commands.iter().find_map(|command| match command {
        Command::Send { to, .. } => Some(*to),
        _ => None,
    });
    assert_eq!(to, Some(node(2)));
    assert_eq!(tokens(&nodes.settle()).len(), 0, "it rests");
    nodes.rest();
    nodes.feed(0, Input::Timeout);
    nodes.settle();
    assert_eq!(nodes.nodes[1].rights(PAGE), Some(Rights::Read));
}
