//! How long a page stays.

use super::*;
use Access::{Read, Write};

#[test]
fn a_page_that_came_to_be_written_stays_for_its_rest() {
    let mut nodes = Nodes::new(2);
    nodes.fault(0, Write);
    assert_eq!(nodes.nodes[0].next_timeout(), None);
    assert_eq!(nodes.tell(1, 0, request(1, Want::Read)), Ok(vec![]));
    assert_eq!(nodes.nodes[0].next_timeout(), Some(REST));
    nodes.now = Tick(REST.0 - 1);
    assert_eq!(nodes.input(0, Input::Timeout), Ok(vec![]));
    nodes.now = REST;
    let page = token(1, Source::Attached, &[0]);
    let given = nodes.input(0, Input::Timeout);
    assert_eq!(given, Ok(vec![PROTECT, send(1, page)]));
    assert_eq!(nodes.nodes[0].next_timeout(), None);
}

#[test]
fn a_page_that_has_rested_goes_at_once() {
    let mut nodes = Nodes::new(2);
    nodes.fault(0, Write);
    nodes.now = REST;
    let given = nodes.tell(1, 0, request(1, Want::Write)).unwrap();
    assert_eq!(given.len(), 2);
}

#[test]
fn one_reader_does_not_wait_for_another() {
    let mut nodes = Nodes::new(3);
    nodes.access(0, Write);
    nodes.access(1, Read);
    let given = nodes.tell(2, 1, request(2, Want::Read));
    assert_eq!(
        given,
        Ok(vec![send(2, token(1, Source::Attached, &[0, 1]))])
    );
    assert_eq!(nodes.rights()[1], Some(Rights::Read));
}

#[test]
fn a_reader_that_waited_in_the_queue_is_served_with_the_page_just_come() {
    let mut nodes = Nodes::new(3);
    nodes.access(0, Write);
    nodes.later();
    nodes.fault(1, Read);
    nodes.tell(2, 1, request(2, Want::Read)).unwrap();
    let page = token(1, Source::Attached, &[0]);
    let next = send(2, token(1, Source::Attached, &[0, 1]));
    let served = nodes.tell(0, 1, page);
    assert_eq!(served, Ok(vec![STORE, map(Rights::Read), WAKE, next]));
}

#[test]
fn the_next_waits_for_a_write_that_began_before_the_rest_was_over() {
    let mut nodes = Nodes::new(3);
    nodes.access(0, Write);
    nodes.access(1, Read);
    let start = nodes.now;
    assert_eq!(nodes.tell(2, 1, request(2, Want::Write)), Ok(vec![]));
    assert_eq!(nodes.fault(1, Write), [send(0, invalidate(1))]);
    nodes.now = Tick(start.0 + REST.0);
    assert_eq!(nodes.input(1, Input::Timeout), Ok(vec![]));
    assert_eq!(nodes.nodes[1].next_timeout(), None);
    let written = nodes.tell(0, 1, acknowledge(1));
    assert_eq!(written, Ok(vec![UNPROTECT, WAKE]));
    assert_eq!(
        nodes.nodes[1].next_timeout(),
        Some(Tick(start.0 + 2 * REST.0))
    );
    nodes.now = Tick(start.0 + 2 * REST.0);
    let page = token(2, Source::Attached, &[]);
    let given = nodes.input(1, Input::Timeout);
    assert_eq!(given, Ok(vec![unmap(FrameFate::Keep), send(2, page)]));
}

#[test]
fn a_read_that_is_asked_for_twice_asks_for_no_write() {
    let mut nodes = Nodes::new(2);
    nodes.access(0, Write);
    nodes.fault(1, Read);
    assert_eq!(nodes.fault(1, Read), []);
    let page = token(1, Source::Attached, &[0]);
    let came = nodes.tell(0, 1, page).unwrap();
    let asks = |command: &Command<Message>| matches!(command, Command::Send { .. });
    assert!(!came.iter().any(asks), "{came:?}");
}
