//! Homes that move: each step, command by command. The page's birth home is node 0; a home moves to
//! a node that is two writes ahead.

use std::num::NonZeroU8;

use super::*;
use Access::{Read, Write};

const AFTER: NonZeroU8 = NonZeroU8::new(2).unwrap();

fn nodes(count: usize) -> Nodes {
    Nodes::with(count, |setup| {
        Directory::with_moves(setup, REST, Some(AFTER))
    })
}

/// Node 1 has written twice, and node 2 has read in between. What the home says is not sent yet.
fn about_to_move(count: usize) -> (Nodes, Commands) {
    let mut nodes = nodes(count);
    nodes.access(1, Write);
    nodes.access(2, Read);
    nodes.fault(1, Write);
    let granted = nodes.tell(1, 0, request(Write)).unwrap();
    nodes.settle_but(0, granted, |message| {
        matches!(message, Message::Done { .. })
    });
    let moving = nodes.tell(1, 0, done(3)).unwrap();
    (nodes, moving)
}

/// Node 1 is the home, and the only holder.
fn moved(count: usize) -> Nodes {
    let (mut nodes, moving) = about_to_move(count);
    assert_eq!(nodes.settle(0, moving), 2);
    nodes
}

fn home_move(number: u32, of: u64) -> Message {
    Message::Move {
        page: PAGE,
        transaction: Transaction(number),
        version: version(of),
    }
}

fn redirect(to: u8) -> Message {
    let to = node(to);
    Message::Redirect { page: PAGE, to }
}

fn pass(number: u32, of: u64, owner: u8, rights: Rights) -> Message {
    Message::Pass {
        page: PAGE,
        transaction: Transaction(number),
        version: version(of),
        owner: node(owner),
        rights,
    }
}

const YIELD: Message = Message::Yield { page: PAGE };
const RECALL: Message = Message::Recall { page: PAGE };

fn is_refused(result: Result<Commands, Violation>, kind: &str) -> bool {
    result.is_err_and(|violation| violation.kind() == kind)
}

#[test]
fn the_home_moves_to_a_node_that_is_ahead_once_its_transaction_is_done() {
    let (mut nodes, moving) = about_to_move(3);
    assert_eq!(moving, [send(1, home_move(4, 2))]);
    assert_eq!(
        nodes.tell(0, 1, home_move(4, 2)),
        Ok(vec![send(0, done(4))])
    );
    assert_eq!(nodes.tell(1, 0, done(4)), Ok(vec![]));
    let homes = |nodes: &Nodes| {
        nodes
            .0
            .iter()
            .map(|n| n.home(PAGE).unwrap().get())
            .collect()
    };
    let told: Vec<_> = homes(&nodes);
    // Node 2 learns of it when it asks.
    assert_eq!(told, [1, 1, 0]);
    assert_eq!(nodes.fault(2, Read), [send(0, request(Read))]);
    assert_eq!(
        nodes.tell(2, 0, request(Read)),
        Ok(vec![send(2, redirect(1))])
    );
    assert_eq!(
        nodes.tell(0, 2, redirect(1)),
        Ok(vec![send(1, request(Read))])
    );
    // What was before at another home the new one does not know.
    let attached = calm(grant(5, Rights::Read, 2, Source::Attached, &[]));
    let answer = nodes.tell(2, 1, request(Read));
    assert_eq!(answer, Ok(vec![PROTECT, send(2, attached)]));
    assert_eq!(nodes.settle(1, vec![send(2, attached)]), 2);
    assert!(nodes.0.iter().all(|node| node.in_flight() == 0));
}

#[test]
fn the_new_home_answers_its_own_faults_and_others_in_fewer_messages() {
    let mut nodes = moved(3);
    // Of these two the first time: node 2 is told where the home is.
    assert_eq!(nodes.access(2, Read), 5);
    for _ in 0..3 {
        assert_eq!(nodes.access(1, Write), 2);
        assert_eq!(nodes.access(2, Read), 3);
        assert_eq!(nodes.access(0, Read), 3);
        assert_eq!(nodes.access(1, Write), 4);
        assert_eq!(nodes.access(2, Read), 3);
    }
}

#[test]
fn a_page_that_two_nodes_write_by_turns_stays_at_home() {
    let mut nodes = nodes(3);
    for _ in 0..20 {
        nodes.access(1, Write);
        nodes.access(2, Write);
    }
    assert_eq!(nodes.0[1].home(PAGE), Some(node(0)));
    assert!(nodes.0[0].entry(PAGE).is_some());
}

#[test]
fn a_home_does_not_move_while_others_wait() {
    let mut nodes = nodes(3);
    nodes.access(1, Write);
    nodes.access(2, Read);
    nodes.fault(1, Write);
    let granted = nodes.tell(1, 0, request(Write)).unwrap();
    nodes.settle_but(0, granted, |message| {
        matches!(message, Message::Done { .. })
    });
    nodes.fault(2, Read);
    assert_eq!(nodes.tell(2, 0, request(Read)), Ok(vec![]));
    assert_eq!(nodes.tell(1, 0, done(3)), Ok(vec![]));
    let served = nodes.input_at(REST, 0, Input::Timeout).unwrap();
    assert_eq!(served[0], send(1, fetch(4, 2, 2, Read)));
}

#[test]
fn who_asks_while_the_home_moves_is_told_when_it_has() {
    let (mut nodes, moving) = about_to_move(4);
    nodes.fault(2, Read);
    nodes.fault(3, Write);
    // The birth home's own threads are no exception.
    assert_eq!(nodes.fault(0, Read), []);
    assert_eq!(nodes.tell(2, 0, request(Read)), Ok(vec![]));
    assert_eq!(nodes.tell(3, 0, request(Write)), Ok(vec![]));
    assert_eq!(moving, [send(1, home_move(4, 2))]);
    nodes.tell(0, 1, home_move(4, 2)).unwrap();
    let told = nodes.tell(1, 0, done(4));
    let [read, others] = [request(Read), redirect(1)];
    assert_eq!(
        told,
        Ok(vec![send(1, read), send(2, others), send(3, others)])
    );
}

#[test]
fn a_home_that_others_write_passes_the_page_on_through_its_birth_home() {
    let mut nodes = moved(3);
    for _ in 0..2 {
        nodes.access(1, Read);
        nodes.access(2, Write);
    }
    let views: Vec<_> = nodes
        .0
        .iter()
        .map(|n| n.home(PAGE).unwrap().get())
        .collect();
    assert_eq!(views, [2, 0, 2]);
    assert_eq!(nodes.0[2].entry(PAGE).unwrap().possible, set(&[2]));
    // Node 1 asks the birth home and is sent on; node 2 answers itself.
    assert_eq!(nodes.access(1, Read), 5);
    assert_eq!(nodes.access(2, Write), 2);
}

#[test]
fn passing_a_page_on_takes_five_messages() {
    let mut nodes = moved(3);
    for _ in 0..2 {
        nodes.access(1, Read);
        nodes.fault(2, Write);
        let asked = vec![send(nodes.0[2].home(PAGE).unwrap().get(), request(Write))];
        nodes.settle_but(2, asked, |message| *message == YIELD);
    }
    assert_eq!(nodes.0[1].state_names(PAGE), ["Invalid", "home: yielding"]);
    assert_eq!(nodes.tell(1, 0, YIELD), Ok(vec![send(1, RECALL)]));
    let passed = pass(7, 4, 2, Rights::Write);
    assert_eq!(nodes.tell(0, 1, RECALL), Ok(vec![send(0, passed)]));
    let moving = home_move(8, 4);
    assert_eq!(nodes.tell(1, 0, passed), Ok(vec![send(2, moving)]));
    assert_eq!(nodes.tell(0, 2, moving), Ok(vec![send(0, done(8))]));
    assert_eq!(nodes.tell(2, 0, done(8)), Ok(vec![]));
}

#[test]
fn a_page_comes_back_to_a_birth_home_that_writes_it() {
    let mut nodes = moved(3);
    for _ in 0..2 {
        nodes.access(1, Read);
        nodes.access(0, Write);
    }
    assert_eq!(nodes.0[0].home(PAGE), Some(node(0)));
    assert_eq!(nodes.rights(), [Some(Rights::Write), None, None]);
    // Node 1 went with the home, so it knows.
    assert_eq!(nodes.access(1, Read), 3);
}

#[test]
fn a_home_that_wants_to_be_rid_of_the_only_copy_gives_up_both() {
    let mut nodes = moved(3);
    let evict = Input::Evict { page: PAGE };
    assert_eq!(nodes.input(1, evict), Ok(vec![send(0, YIELD)]));
    assert_eq!(nodes.tell(1, 0, YIELD), Ok(vec![send(1, RECALL)]));
    let passed = pass(4, 2, 1, Rights::Write);
    let wish = Message::Evict { page: PAGE };
    let gone = nodes.tell(0, 1, RECALL);
    assert_eq!(gone, Ok(vec![send(0, passed), send(0, wish)]));
    assert_eq!(nodes.tell(1, 0, passed), Ok(vec![]));
    let order = release(5, 2, true);
    assert_eq!(nodes.tell(1, 0, wish), Ok(vec![send(1, order)]));
    nodes.settle(0, vec![send(1, order)]);
    assert_eq!(nodes.rights(), [Some(Rights::Write), None, None]);
}

#[test]
fn who_asks_while_the_home_comes_back_waits_for_it() {
    let mut nodes = moved(4);
    nodes.input(1, Input::Evict { page: PAGE }).unwrap();
    nodes.tell(1, 0, YIELD).unwrap();
    // Node 3 asks the birth home, node 0 the home that is going.
    nodes.fault(3, Read);
    assert_eq!(nodes.tell(3, 0, request(Read)), Ok(vec![]));
    assert!(is_refused(nodes.tell(3, 0, request(Write)), "unexpected"));
    assert_eq!(nodes.fault(0, Write), [send(1, request(Write))]);
    nodes.tell(0, 1, RECALL).unwrap();
    assert_eq!(nodes.tell(0, 1, request(Write)), Ok(vec![]));
    let served = nodes.tell(1, 0, pass(4, 2, 1, Rights::Write)).unwrap();
    let promise = grant(5, Rights::Read, 2, Source::Node(node(1)), &[]);
    assert_eq!(served, [send(1, fetch(5, 2, 3, Read)), send(3, promise)]);
    nodes.settle(0, served);
    // The birth home asks itself for what it asked the last home for.
    let own = nodes.input_at(REST, 0, Input::Timeout).unwrap();
    nodes.settle(0, own);
    assert_eq!(nodes.rights(), [Some(Rights::Write), None, None, None]);
}

#[test]
fn who_still_asks_the_last_home_is_sent_to_the_birth_home() {
    let mut nodes = moved(3);
    nodes.access(2, Read);
    nodes.access(1, Write);
    let wish = nodes.input(1, Input::Evict { page: PAGE }).unwrap();
    nodes.settle(1, wish);
    assert_eq!(nodes.fault(2, Read), [send(1, request(Read))]);
    assert_eq!(
        nodes.tell(2, 1, request(Read)),
        Ok(vec![send(2, redirect(0))])
    );
    assert_eq!(
        nodes.tell(1, 2, redirect(0)),
        Ok(vec![send(0, request(Read))])
    );
    // A wish that comes late is void.
    assert_eq!(nodes.tell(2, 1, Message::Evict { page: PAGE }), Ok(vec![]));
}

#[test]
fn a_move_that_does_not_fit_is_refused() {
    let (mut nodes, _) = about_to_move(3);
    assert!(is_refused(nodes.tell(2, 1, home_move(4, 2)), "wrong node"));
    assert!(is_refused(nodes.tell(0, 1, home_move(4, 1)), "stale"));
    assert!(is_refused(nodes.tell(0, 2, home_move(4, 2)), "unexpected"));
    assert!(is_refused(nodes.tell(1, 0, home_move(4, 2)), "wrong node"));
    assert!(is_refused(nodes.tell(2, 0, done(4)), "unexpected"));
    assert!(is_refused(nodes.tell(1, 0, done(3)), "stale"));
    nodes.tell(0, 1, home_move(4, 2)).unwrap();
    assert!(is_refused(nodes.tell(0, 1, home_move(4, 2)), "unexpected"));
    nodes.tell(1, 0, done(4)).unwrap();
    assert!(is_refused(nodes.tell(1, 0, done(4)), "wrong node"));
}

#[test]
fn what_a_home_does_not_say_of_itself_is_refused() {
    let mut nodes = moved(4);
    let passed = pass(4, 2, 1, Rights::Write);
    assert!(is_refused(nodes.tell(0, 1, RECALL), "unexpected"));
    assert!(is_refused(nodes.tell(2, 0, YIELD), "wrong node"));
    assert!(is_refused(nodes.tell(1, 2, YIELD), "wrong node"));
    assert!(is_refused(nodes.tell(1, 0, passed), "unexpected"));
    // The home asks itself, not the birth home.
    assert!(is_refused(nodes.tell(1, 0, request(Read)), "wrong node"));
    let wish = Message::Evict { page: PAGE };
    assert!(is_refused(nodes.tell(1, 0, wish), "wrong node"));
    nodes.input(1, Input::Evict { page: PAGE }).unwrap();
    nodes.tell(1, 0, YIELD).unwrap();
    assert!(is_refused(nodes.tell(1, 0, YIELD), "unexpected"));
    assert!(is_refused(nodes.tell(2, 1, RECALL), "wrong node"));
    assert!(is_refused(nodes.tell(2, 0, passed), "wrong node"));
    for impossible in [
        pass(4, 2, 0, Rights::Write),
        pass(4, 2, 9, Rights::Write),
        pass(4, 2, 2, Rights::Read),
    ] {
        assert!(is_refused(nodes.tell(1, 0, impossible), "unexpected"));
    }
    let old = pass(4, 1, 1, Rights::Write);
    assert!(is_refused(nodes.tell(1, 0, old), "stale"));
    nodes.tell(1, 0, passed).unwrap();
    assert!(is_refused(nodes.tell(1, 0, passed), "wrong node"));
}

#[test]
fn a_redirect_that_leads_nowhere_is_refused() {
    let mut nodes = moved(4);
    assert!(is_refused(nodes.tell(0, 2, redirect(1)), "unexpected"));
    nodes.fault(2, Read);
    assert!(is_refused(nodes.tell(1, 2, redirect(3)), "wrong node"));
    for nowhere in [0, 2, 9] {
        assert!(is_refused(
            nodes.tell(0, 2, redirect(nowhere)),
            "unexpected"
        ));
    }
    nodes.tell(0, 2, redirect(1)).unwrap();
    // Only the birth home knows of others.
    assert!(is_refused(nodes.tell(1, 2, redirect(3)), "unexpected"));
    assert!(is_refused(nodes.tell(0, 2, redirect(1)), "wrong node"));
    nodes.tell(2, 1, request(Read)).unwrap();
    let attached = grant(5, Rights::Read, 2, Source::Attached, &[]);
    assert!(is_refused(nodes.tell(0, 2, attached), "wrong node"));
    nodes.tell(1, 2, attached).unwrap();
    nodes.fault(2, Write);
    assert!(is_refused(nodes.tell(1, 2, redirect(0)), "unexpected"));
}

#[test]
fn a_node_that_never_was_the_home_is_not_taken_for_it() {
    let mut nodes = moved(4);
    assert!(is_refused(nodes.tell(3, 2, request(Read)), "wrong node"));
    let wish = Message::Evict { page: PAGE };
    assert!(is_refused(nodes.tell(3, 2, wish), "wrong node"));
}

#[test]
fn where_homes_stay_no_word_of_a_move_is_believed() {
    let mut nodes = Nodes::new(3);
    nodes.access(1, Write);
    assert!(is_refused(nodes.tell(0, 1, home_move(2, 1)), "unexpected"));
    nodes.fault(2, Read);
    assert!(is_refused(nodes.tell(0, 2, redirect(1)), "unexpected"));
    assert!(is_refused(nodes.tell(1, 0, YIELD), "wrong node"));
    assert!(is_refused(nodes.tell(0, 1, RECALL), "unexpected"));
    let passed = pass(2, 1, 1, Rights::Write);
    assert!(is_refused(nodes.tell(1, 0, passed), "wrong node"));
}
