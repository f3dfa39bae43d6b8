//! Who waits for what, and what that costs.

use giantvm_core::{NodeId, PageIndex, PageRange};
use giantvm_dsm::protocol::ivy::{BYTES_PER_PAGE, Message};
use giantvm_dsm::protocol::{Access, CoherenceProtocol, Command, Ivy, Rights};
use giantvm_dsm::testing::{Cluster, Config};

use super::support::{Nodes, PAGE, version};

#[test]
fn defect_4_two_nodes_that_want_each_others_pages_get_them() {
    let (one, two) = (PageIndex(0), PageIndex(1));
    let mut nodes = Nodes::new(2, 2);
    nodes.fault(0, one, Access::Write);
    nodes.fault(1, two, Access::Write);
    nodes.settle();
    nodes.rest();
    // Both ask at once, and neither has an answer when it is asked.
    nodes.fault(0, two, Access::Write);
    nodes.fault(1, one, Access::Write);
    nodes.settle();
    let rights = |at: usize, page| nodes.nodes[at].rights(page);
    assert_eq!(
        [rights(0, one), rights(0, two)],
        [None, Some(Rights::Write)]
    );
    assert_eq!(
        [rights(1, one), rights(1, two)],
        [Some(Rights::Write), None]
    );
}

#[test]
fn defect_5_sixty_four_nodes_share_a_page() {
    let config = Config {
        nodes: 64,
        threads: 1,
        ..Config::default()
    };
    let mut cluster = Cluster::<Ivy>::new(config);
    cluster.plan_random(5);
    let report = cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.accesses, 64 * 5);
}

#[test]
fn defect_6_an_invalidation_is_answered_whatever_else_waits() {
    const PAGES: u64 = 100;
    let mut nodes = Nodes::new(4, PAGES);
    nodes.fault(0, PAGE, Access::Write);
    nodes.rest();
    nodes.fault(1, PAGE, Access::Read);
    nodes.settle();
    // Node 0 waits for a hundred pages, and others wait for them behind it.
    for page in PageRange::first(PAGES).iter().skip(1) {
        nodes.fault(2, page, Access::Write);
        nodes.settle();
        nodes.fault(0, page, Access::Write);
        nodes.fault(3, page, Access::Write);
    }
    nodes.settle();
    assert!(nodes.nodes[0].in_flight() as u64 >= PAGES - 1);
    let version = version(1);
    let commands = nodes.tell(
        1,
        0,
        Message::Invalidate {
            page: PAGE,
            version,
        },
    );
    let sent = |command: &Command<Message>| {
        matches!(
            command,
            Command::Send {
                message: Message::Acknowledge { .. },
                ..
            }
        )
    };
    assert!(commands.iter().any(sent));
}

#[test]
fn defect_9_nothing_is_to_be_looked_at_again_while_no_one_waits() {
    let mut nodes = Nodes::new(4, 1);
    for at in [1, 2, 3, 2, 0] {
        nodes.access(at, Access::Read);
        nodes.access(at, Access::Write);
        assert!(nodes.nodes.iter().all(|node| node.next_timeout().is_none()));
    }
}

#[test]
fn defect_20_nothing_is_kept_of_what_is_done() {
    let config = Config {
        nodes: 8,
        pages: 4,
        ..Config::default()
    };
    let mut cluster = Cluster::<Ivy>::new(config);
    cluster.plan_random(200);
    cluster.run().unwrap_or_else(|failure| panic!("{failure}"));
    for node in NodeId::first(8) {
        let protocol = cluster.protocol(node);
        assert_eq!((protocol.in_flight(), protocol.next_timeout()), (0, None));
    }
    // What is kept for every page is less than one part in two hundred of it.
    const { assert!(BYTES_PER_PAGE * 200 < 4096) };
}
