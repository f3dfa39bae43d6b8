//! Versions, and what stands for data.

use giantvm_core::Version;
use giantvm_dsm::protocol::ivy::{Source, Want};
use giantvm_dsm::protocol::{Access, CoherenceProtocol, Rights};

use super::support::{Nodes, PAGE, request, set, token, tokens, version};

#[test]
fn defect_12_versions_go_on_past_sixteen_bits() {
    let mut nodes = Nodes::new(2, 1);
    nodes.access(0, Access::Write);
    let mut last = version(1);
    for count in 2..=70_000_u64 {
        let letters = nodes.access(usize::from(count % 2 == 0), Access::Write);
        let [token] = tokens(&letters)[..] else {
            panic!("{letters:?}");
        };
        assert_eq!((token.version, token.source), (last, Source::Attached));
        last = version(count);
    }
}

#[test]
fn defect_12_old_bytes_are_not_taken_for_new_ones_even_when_versions_are_used_up() {
    let mut nodes = Nodes::new(3, 1);
    // Node 1 gets a page that was written as often as can be counted, and node 2 reads it.
    nodes.fault(1, PAGE, Access::Write);
    nodes.intercept().unwrap();
    nodes.tell(0, 1, token(Version::MAX, Source::Attached, set([])));
    nodes.rest();
    nodes.fault(2, PAGE, Access::Read);
    nodes.intercept().unwrap();
    nodes.tell(2, 1, request(2, Want::Read));
    nodes.settle();
    // Node 1 wants to write what it still reads, but node 2 writes first.
    nodes.fault(1, PAGE, Access::Write);
    let asked = nodes.intercept().unwrap();
    assert_eq!(asked.message, request(1, Want::Upgrade(Version::MAX)));
    nodes.fault(2, PAGE, Access::Write);
    nodes.settle();
    assert_eq!(nodes.nodes[2].rights(PAGE), Some(Rights::Write));
    nodes.rest();
    nodes.tell(1, 2, asked.message);
    let letters = nodes.settle();
    let [given] = tokens(&letters)[..] else {
        panic!("{letters:?}");
    };
    assert_eq!(
        (given.version, given.source),
        (Version::MAX, Source::Attached)
    );
    assert_eq!(nodes.nodes[1].rights(PAGE), Some(Rights::Write));
}

#[test]
fn defect_14_what_was_touched_once_is_sent_and_what_was_not_is_zero() {
    let mut nodes = Nodes::new(3, 1);
    // The first one only reads, but might as well have written.
    let first = nodes.access(1, Access::Read);
    assert_eq!(tokens(&first)[0].source, Source::Zero);
    assert!(first.iter().all(|letter| !letter.with_page));
    assert_eq!(nodes.nodes[1].rights(PAGE), Some(Rights::Write));
    for at in [2, 0] {
        let next = nodes.access(at, Access::Read);
        assert_eq!(next.iter().filter(|letter| letter.with_page).count(), 1);
    }
}
