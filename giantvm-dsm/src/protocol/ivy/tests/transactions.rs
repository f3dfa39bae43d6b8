//! Each kind of transaction, one at a time.

use super::*;
use Access::{Read, Write};

const NONE: Option<Rights> = None;
const READ: Option<Rights> = Some(Rights::Read);
const WRITE: Option<Rights> = Some(Rights::Write);

#[test]
fn the_home_touches_its_page_without_a_message() {
    let mut nodes = Nodes::new(2);
    assert_eq!(nodes.fault(0, Read), [MAP_ZERO, WAKE]);
    assert_eq!(nodes.fault(0, Write), [map(Rights::Write), WAKE]);
    assert_eq!(nodes.rights(), [WRITE, NONE]);
}

#[test]
fn the_first_toucher_may_write_zeroes_that_were_never_sent() {
    let mut nodes = Nodes::new(2);
    assert_eq!(nodes.fault(1, Read), [send(0, request(1, Want::Read))]);
    let given = nodes.tell(1, 0, request(1, Want::Read));
    let zero = token(0, Source::Zero, &[]);
    assert_eq!(given, Ok(vec![send(1, zero)]));
    assert_eq!(nodes.tell(0, 1, zero), Ok(vec![MAP_ZERO, WAKE]));
    assert_eq!(nodes.rights(), [NONE, WRITE]);
    assert_eq!(nodes.owner(), 1);
}

#[test]
fn a_reader_takes_the_ownership_and_the_old_owner_goes_on_reading() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.later();
    nodes.fault(1, Read);
    let page = token(1, Source::Attached, &[0]);
    let given = nodes.tell(1, 0, request(1, Want::Read));
    assert_eq!(given, Ok(vec![PROTECT, send(1, page)]));
    let mapped = nodes.tell(0, 1, page);
    assert_eq!(mapped, Ok(vec![STORE, map(Rights::Read), WAKE]));
    assert_eq!(nodes.rights(), [READ, READ]);
    assert_eq!(nodes.owner(), 1);
    assert_eq!(nodes.nodes[1].owned(PAGE).unwrap().sharers, set(&[0]));
}

#[test]
fn a_writer_gets_the_page_and_invalidates_all_sharers_at_once() {
    let mut nodes = Nodes::new(4);
    nodes.access(0, Write);
    nodes.access(1, Read);
    nodes.access(2, Read);
    nodes.later();
    // Node 3 still believes in the page's home.
    nodes.fault(3, Write);
    let on = nodes.tell(3, 0, request(3, Want::Write));
    assert_eq!(on, Ok(vec![send(2, request(3, Want::Write))]));
    let page = token(1, Source::Attached, &[0, 1]);
    let given = nodes.tell(0, 2, request(3, Want::Write));
    assert_eq!(given, Ok(vec![unmap(FrameFate::Keep), send(3, page)]));
    let told = [STORE, send(0, invalidate(1)), send(1, invalidate(1))];
    assert_eq!(nodes.tell(2, 3, page), Ok(told.to_vec()));
    let gone = vec![unmap(FrameFate::Drop), send(3, acknowledge(1))];
    assert_eq!(nodes.tell(3, 0, invalidate(1)), Ok(gone.clone()));
    assert_eq!(nodes.tell(3, 1, invalidate(1)), Ok(gone));
    assert_eq!(nodes.tell(1, 3, acknowledge(1)), Ok(vec![]));
    let done = nodes.tell(0, 3, acknowledge(1));
    assert_eq!(done, Ok(vec![map(Rights::Write), WAKE]));
    assert_eq!(nodes.rights(), [NONE, NONE, NONE, WRITE]);
}

#[test]
fn a_sharer_that_writes_gets_no_data() {
    let mut nodes = Nodes::new(3);
    nodes.access(0, Write);
    nodes.access(1, Read);
    nodes.access(2, Read);
    nodes.later();
    let upgrade = request(1, Want::Upgrade(version(1)));
    assert_eq!(nodes.fault(1, Write), [send(2, upgrade)]);
    let held = token(1, Source::Held, &[0]);
    let given = nodes.tell(1, 2, upgrade);
    assert_eq!(given, Ok(vec![unmap(FrameFate::Drop), send(1, held)]));
    assert_eq!(nodes.tell(2, 1, held), Ok(vec![send(0, invalidate(1))]));
    nodes.tell(1, 0, invalidate(1)).unwrap();
    let done = nodes.tell(0, 1, acknowledge(1));
    assert_eq!(done, Ok(vec![UNPROTECT, WAKE]));
    assert_eq!(nodes.rights(), [NONE, WRITE, NONE]);
}

#[test]
fn an_owner_that_reads_upgrades_without_a_request() {
    let mut nodes = Nodes::new(3);
    nodes.access(0, Write);
    nodes.access(1, Read);
    assert_eq!(nodes.fault(1, Write), [send(0, invalidate(1))]);
    assert_eq!(nodes.rights()[1], READ);
    assert_eq!(nodes.fault(1, Write), []);
    nodes.tell(1, 0, invalidate(1)).unwrap();
    let done = nodes.tell(0, 1, acknowledge(1));
    assert_eq!(done, Ok(vec![UNPROTECT, WAKE]));
    assert_eq!(nodes.owner(), 1);
}

#[test]
fn a_write_fault_during_a_read_is_taken_up_when_the_page_is_here() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.later();
    let asked = nodes.fault(1, Read);
    assert_eq!(nodes.fault(1, Write), []);
    let given = nodes.tell(1, 0, request(1, Want::Read)).unwrap();
    assert_eq!(asked.len(), 1);
    let page = token(1, Source::Attached, &[0]);
    assert_eq!(given[1], send(1, page));
    let both = [STORE, map(Rights::Read), WAKE, send(0, invalidate(1))];
    assert_eq!(nodes.tell(0, 1, page), Ok(both.to_vec()));
    nodes.tell(1, 0, invalidate(1)).unwrap();
    let done = nodes.tell(0, 1, acknowledge(1));
    assert_eq!(done, Ok(vec![UNPROTECT, WAKE]));
}

#[test]
fn an_upgrade_whose_copy_is_taken_on_the_way_gets_data() {
    let mut nodes = Nodes::new(3);
    nodes.access(0, Write);
    nodes.access(1, Read);
    nodes.access(2, Read);
    let upgrade = request(1, Want::Upgrade(version(1)));
    assert_eq!(nodes.fault(1, Write), [send(2, upgrade)]);
    // The owner writes first, and takes the copy.
    let told = nodes.fault(2, Write);
    let messages = nodes.settle(2, told);
    assert_eq!(messages.len(), 4);
    nodes.later();
    let given = nodes.tell(1, 2, upgrade).unwrap();
    let page = token(2, Source::Attached, &[]);
    assert_eq!(given, [unmap(FrameFate::Keep), send(1, page)]);
    let done = [STORE, map(Rights::Write), WAKE];
    assert_eq!(nodes.tell(2, 1, page), Ok(done.to_vec()));
}

#[test]
fn a_sharers_copy_is_dropped_in_silence_and_acknowledged_all_the_same() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.access(1, Read);
    assert_eq!(nodes.evict(0), [unmap(FrameFate::Drop)]);
    assert_eq!(nodes.evict(0), []);
    assert_eq!(nodes.fault(1, Write), [send(0, invalidate(1))]);
    let gone = nodes.tell(1, 0, invalidate(1));
    assert_eq!(gone, Ok(vec![send(1, acknowledge(1))]));
    // The owner's copy is the only one that counts.
    nodes.tell(0, 1, acknowledge(1)).unwrap();
    assert_eq!(nodes.evict(1), []);
    assert_eq!(nodes.rights(), [NONE, WRITE]);
}

#[test]
fn a_copy_is_kept_while_its_upgrade_is_pending() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.access(1, Read);
    nodes.fault(0, Write);
    assert_eq!(nodes.evict(0), []);
    assert_eq!(nodes.rights(), [READ, READ]);
}

#[test]
fn after_a_loss_faults_are_remembered_and_nothing_is_answered() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    let lost = Input::Lost { node: node(1) };
    assert!(!nodes.nodes[0].is_halted());
    assert_eq!(nodes.input(0, lost), Ok(vec![]));
    assert!(nodes.nodes[0].is_halted());
    assert_eq!(nodes.tell(1, 0, request(1, Want::Read)), Ok(vec![]));
    assert_eq!(nodes.fault(0, Write), []);
    assert_eq!(nodes.evict(0), []);
    assert_eq!(nodes.input(0, Input::Timeout), Ok(vec![]));
    assert_eq!(nodes.nodes[0].next_timeout(), None);
    assert_eq!(nodes.nodes[0].in_flight(), 1);
    assert_eq!(nodes.rights(), [WRITE, NONE]);
}

#[test]
fn a_node_tells_the_version_of_the_copy_that_it_has() {
    let mut nodes = Nodes::new(2);
    let versions = |nodes: &Nodes| [0, 1].map(|at: usize| nodes.nodes[at].copy_version(PAGE));
    assert_eq!(versions(&nodes), [None, None]);
    nodes.access(0, Write);
    let written = versions(&nodes)[0];
    assert!(written.is_some());
    nodes.access(1, Read);
    assert_eq!(versions(&nodes), [written, written]);
    nodes.access(1, Write);
    let [left, newer] = versions(&nodes);
    assert!(left.is_none() && newer > written);
}
