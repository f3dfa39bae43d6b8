//! Each kind of transaction, command by command. The page's home is node 0.

use super::*;
use Access::{Read, Write};

#[test]
fn the_home_touches_its_own_page_without_a_message() {
    for access in [Read, Write] {
        let mut nodes = Nodes::new(2);
        assert_eq!(nodes.fault(0, access), [map_zero(Rights::Write), WAKE]);
        assert_eq!(nodes.0[0].in_flight(), 0);
    }
}

#[test]
fn the_first_touch_is_an_exclusive_grant_without_data() {
    for access in [Read, Write] {
        let mut nodes = Nodes::new(2);
        assert_eq!(nodes.fault(1, access), [send(0, request(access))]);
        let zero = calm(grant(1, Rights::Write, 0, Source::Zero, &[]));
        assert_eq!(nodes.tell(1, 0, request(access)), Ok(vec![send(1, zero)]));
        let mapped = vec![map_zero(Rights::Write), LINGER, send(0, done(1)), WAKE];
        assert_eq!(nodes.tell(0, 1, zero), Ok(mapped));
        assert_eq!(nodes.tell(1, 0, done(1)), Ok(vec![]));
        assert_eq!(nodes.0[0].in_flight() + nodes.0[1].in_flight(), 0);
    }
}

#[test]
fn a_read_from_a_home_that_writes_downgrades_it_and_the_page_comes_with_the_grant() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.fault(1, Read);
    let attached = grant(2, Rights::Read, 1, Source::Attached, &[]);
    let answer = nodes.tell(1, 0, request(Read));
    assert_eq!(answer, Ok(vec![PROTECT, send(1, attached)]));
    let mapped = vec![STORE, map(Rights::Read), send(0, done(2)), WAKE];
    assert_eq!(nodes.tell(0, 1, attached), Ok(mapped));
}

#[test]
fn a_write_from_a_home_that_writes_unmaps_it() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.fault(1, Write);
    let attached = grant(2, Rights::Write, 1, Source::Attached, &[]);
    let answer = nodes.tell(1, 0, request(Write));
    assert_eq!(answer, Ok(vec![unmap(FrameFate::Keep), send(1, attached)]));
    let mapped = vec![STORE, map(Rights::Write), send(0, done(2)), WAKE];
    assert_eq!(nodes.tell(0, 1, attached), Ok(mapped));
}

#[test]
fn a_read_from_a_third_node_goes_straight_from_owner_to_requester() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    nodes.fault(2, Read);
    let promise = grant(2, Rights::Read, 1, Source::Node(node(1)), &[]);
    let order = fetch(2, 1, 2, Read);
    let forwarded = vec![send(1, order), send(2, promise)];
    assert_eq!(nodes.tell(2, 0, request(Read)), Ok(forwarded));
    let sent = vec![PROTECT, send(2, data(2, 1))];
    assert_eq!(nodes.tell(0, 1, order), Ok(sent));
    assert_eq!(nodes.tell(0, 2, promise), Ok(vec![]));
    let mapped = vec![STORE, map(Rights::Read), send(0, done(2)), WAKE];
    assert_eq!(nodes.tell(1, 2, data(2, 1)), Ok(mapped));
}

#[test]
fn a_write_takes_the_owners_copy_and_invalidates_the_sharers_in_parallel() {
    let mut nodes = Nodes::new(4);
    nodes.access(1, Write);
    nodes.access(2, Read);
    nodes.access(0, Read);
    nodes.fault(3, Write);
    let promise = grant(4, Rights::Write, 1, Source::Node(node(1)), &[2]);
    let (drop_it, order) = (invalidate(4, 1, 3), fetch(4, 1, 3, Write));
    let answer = nodes.tell(3, 0, request(Write)).unwrap();
    let own_copy = unmap(FrameFate::Drop);
    let messages = [send(2, drop_it), send(1, order), own_copy, send(3, promise)];
    assert_eq!(answer, messages);
    let gone = vec![unmap(FrameFate::Drop), send(3, acknowledge(4))];
    assert_eq!(nodes.tell(0, 2, drop_it), Ok(gone));
    let sent = vec![unmap(FrameFate::Keep), send(3, data(4, 1))];
    assert_eq!(nodes.tell(0, 1, order), Ok(sent));
    assert_eq!(nodes.tell(0, 3, promise), Ok(vec![]));
    assert_eq!(nodes.tell(1, 3, data(4, 1)), Ok(vec![STORE]));
    let mapped = vec![map(Rights::Write), send(0, done(4)), WAKE];
    assert_eq!(nodes.tell(2, 3, acknowledge(4)), Ok(mapped));
    assert_eq!(nodes.rights(), [None, None, None, Some(Rights::Write)]);
}

#[test]
fn an_upgrade_moves_no_data() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    nodes.access(2, Read);
    assert_eq!(nodes.fault(2, Write), [send(0, request(Write))]);
    let promise = grant(3, Rights::Write, 1, Source::Held, &[1]);
    let drop_it = invalidate(3, 1, 2);
    let messages = vec![send(1, drop_it), send(2, promise)];
    assert_eq!(nodes.tell(2, 0, request(Write)), Ok(messages));
    nodes.tell(0, 1, drop_it).unwrap();
    assert_eq!(nodes.tell(0, 2, promise), Ok(vec![]));
    let upgraded = vec![UNPROTECT, send(0, done(3)), WAKE];
    assert_eq!(nodes.tell(1, 2, acknowledge(3)), Ok(upgraded));
}

#[test]
fn an_upgrade_whose_copy_went_gets_data() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    nodes.access(2, Read);
    // Both ask to write; node 1 is served first.
    nodes.fault(1, Write);
    nodes.fault(2, Write);
    let first = nodes.tell(1, 0, request(Write)).unwrap();
    assert_eq!(nodes.tell(2, 0, request(Write)), Ok(vec![]));
    nodes.settle(0, first);
    let served = nodes.input_at(REST, 0, Input::Timeout).unwrap();
    let promise = grant(4, Rights::Write, 2, Source::Node(node(1)), &[]);
    let order = fetch(4, 2, 2, Write);
    assert_eq!(served, [send(1, order), send(2, promise)]);
    nodes.settle(0, served);
    assert_eq!(nodes.rights(), [None, None, Some(Rights::Write)]);
}

#[test]
fn a_write_fault_during_a_read_is_requested_after_it() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.fault(1, Read);
    assert_eq!(nodes.fault(1, Write), []);
    let attached = grant(2, Rights::Read, 1, Source::Attached, &[]);
    nodes.tell(1, 0, request(Read)).unwrap();
    let mapped = vec![
        STORE,
        map(Rights::Read),
        send(0, done(2)),
        send(0, request(Write)),
        WAKE,
    ];
    assert_eq!(nodes.tell(0, 1, attached), Ok(mapped));
    nodes.tell(1, 0, done(2)).unwrap();
    let answer = nodes.tell(1, 0, request(Write)).unwrap();
    let upgrade = grant(3, Rights::Write, 1, Source::Held, &[]);
    assert_eq!(answer, [unmap(FrameFate::Drop), send(1, upgrade)]);
}

#[test]
fn a_fault_whose_rights_are_there_maps_and_wakes() {
    let mut nodes = Nodes::new(2);
    nodes.access(1, Write);
    for access in [Read, Write] {
        assert_eq!(nodes.fault(1, access), [map(Rights::Write), WAKE]);
    }
    nodes.access(0, Read);
    assert_eq!(nodes.fault(1, Read), [map(Rights::Read), WAKE]);
}

#[test]
fn each_kind_of_transaction_takes_its_number_of_messages() {
    let mut nodes = Nodes::new(4);
    let counts = [
        nodes.access(1, Write), // untouched
        nodes.access(2, Read),  // a third node owns it
        nodes.access(0, Read),  // the home reads
        nodes.access(2, Write), // upgrade, one remote sharer and the home
        nodes.access(0, Write), // the home takes it
        nodes.access(3, Read),  // the home owns it
        nodes.access(3, Write), // upgrade, the home shares
        nodes.access(1, Read),
        nodes.access(2, Write), // data from one, acknowledgement of another
        nodes.access(3, Read),
        nodes.access(0, Write), // the same for the home
    ];
    assert_eq!(counts, [3, 5, 2, 5, 2, 3, 3, 5, 7, 5, 4]);
}
