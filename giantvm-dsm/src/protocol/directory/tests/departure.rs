//! A node that leaves: each phase, command by command, and what is refused. Of pages that one node
//! writes twice the home moves; the page of most tests is born at node 0.

use std::num::NonZeroU8;

use super::*;
use crate::protocol::{CannotDepart, Departing, Phase};
use Access::{Read, Write};

const AFTER: NonZeroU8 = NonZeroU8::new(2).unwrap();

fn nodes(count: usize) -> Nodes {
    Nodes::with(count, |setup| {
        Directory::with_moves(setup, REST, Some(AFTER))
    })
}

fn heir(number: u8) -> Message {
    let heir = node(number);
    Message::Heir { heir }
}

const RECLAIM: Message = Message::Reclaim { page: PAGE };
const ON: Departing = Departing::Continue { pages: 9 };

impl Nodes {
    fn order(&mut self, at: u8, order: Departing) -> Commands {
        self.input(at, Input::Depart(order)).unwrap()
    }

    fn phase(&self, at: u8) -> Phase {
        self.0[usize::from(at)].departure().phase
    }

    /// Has a node leave, with all that this takes. Returns the number of messages.
    fn leave(&mut self, at: u8, to: u8) -> usize {
        let heir = node(to);
        assert_eq!(self.0[usize::from(at)].refusal(heir), None);
        self.order(at, Departing::Begin { heir });
        let mut messages = 0;
        for _ in 0..20 {
            let commands = self.order(at, ON);
            messages += self.settle(at, commands);
        }
        assert_eq!(self.phase(at), Phase::Left);
        messages
    }

    fn lose(&mut self, lost: u8) {
        let count = u8::try_from(self.0.len()).unwrap();
        for at in (0..count).filter(|&at| at != lost) {
            let node = node(lost);
            assert_eq!(self.input(at, Input::Lost { node }), Ok(vec![]));
        }
    }
}

/// Node 1 is the home of the page, and its only holder.
fn moved(count: usize) -> Nodes {
    let mut nodes = nodes(count);
    for reader in [2, 0] {
        nodes.access(1, Write);
        nodes.access(reader, Read);
    }
    nodes.access(1, Write);
    assert_eq!(nodes.0[0].home(PAGE), Some(node(1)));
    nodes
}

#[test]
fn the_birth_home_asks_for_its_pages_names_its_heir_and_hands_them_over() {
    let mut nodes = moved(3);
    let heir_is = node(2);
    assert_eq!(nodes.order(0, Departing::Begin { heir: heir_is }), []);
    assert_eq!(nodes.order(0, ON), [send(1, RECLAIM)]);
    let offered = nodes.tell(0, 1, RECLAIM).unwrap();
    assert_eq!(offered, [send(0, Message::Yield { page: PAGE })]);
    nodes.settle(1, offered);
    assert_eq!(nodes.0[0].home(PAGE), Some(node(0)));
    // The heir first: it has to have forgotten what others told it.
    assert_eq!(nodes.order(0, ON), [send(2, heir(2))]);
    assert_eq!(nodes.tell(0, 2, heir(2)), Ok(vec![send(0, Message::Agree)]));
    assert_eq!(nodes.tell(2, 0, Message::Agree), Ok(vec![send(1, heir(2))]));
    assert_eq!(nodes.phase(0), Phase::Announcing);
    assert_eq!(nodes.tell(0, 1, heir(2)), Ok(vec![send(0, Message::Agree)]));
    assert_eq!(nodes.tell(1, 0, Message::Agree), Ok(vec![]));
    assert_eq!(nodes.phase(0), Phase::Draining);
    // The page stays where it is, and its home goes there.
    let offered = nodes.order(0, ON);
    assert_eq!(offered, [send(2, Message::Yield { page: PAGE })]);
    assert_eq!(nodes.settle(0, offered), 5);
    assert_eq!(nodes.order(0, ON), [send(2, Message::Leave)]);
    assert_eq!(
        nodes.tell(0, 2, Message::Leave),
        Ok(vec![send(0, Message::Agree)])
    );
    let told = nodes.tell(2, 0, Message::Agree);
    assert_eq!(told, Ok(vec![send(1, Message::Leave)]));
    assert_eq!(nodes.settle(0, told.unwrap()), 2);
    assert_eq!(nodes.phase(0), Phase::Left);
    nodes.lose(0);
    assert_eq!(nodes.access(2, Write), 3);
    assert_eq!(nodes.rights()[1..], [None, Some(Rights::Write)]);
}

#[test]
fn pages_that_were_never_touched_cost_a_departure_no_message() {
    let mut nodes = nodes(4);
    // Heir and Leave, and an Agree for each, with each of three nodes.
    assert_eq!(nodes.leave(0, 3), 12);
    nodes.lose(0);
    // Its heir is asked for them from then on.
    assert_eq!(nodes.fault(1, Read), [send(3, request(Read))]);
    assert_eq!(nodes.access(2, Write), 3);
    assert_eq!(nodes.access(3, Write), 2);
}

#[test]
fn a_node_that_left_is_missed_by_no_one_and_all_others_are() {
    let mut nodes = nodes(3);
    nodes.access(1, Write);
    nodes.leave(0, 2);
    assert!(nodes.0[1..].iter().all(|other| other.has_left(node(0))));
    nodes.lose(0);
    assert!(nodes.0[1..].iter().all(|other| !other.is_halted()));
    assert_eq!(nodes.access(2, Read), 3);
    nodes.lose(1);
    assert!(nodes.0[2].is_halted());
}

#[test]
fn faults_of_a_node_that_left_wait_until_it_comes_back() {
    let mut nodes = nodes(3);
    nodes.access(0, Write);
    nodes.leave(0, 1);
    assert_eq!(nodes.fault(0, Read), []);
    let back = nodes.order(0, Departing::Return);
    let told = [1, 2].map(|to| send(to, Message::Back));
    assert_eq!(back[..2], told);
    assert_eq!(back[2], send(1, request(Read)));
    nodes.settle(0, back);
    assert!(nodes.rights()[0].is_some());
    // Now it is missed again; and it may leave again, which takes no heir.
    assert!(!nodes.0[2].has_left(node(0)));
    nodes.leave(0, 2);
    nodes.lose(0);
    assert_eq!(nodes.access(2, Read), 3);
    assert!(!nodes.0[1].is_halted());
}

#[test]
fn what_an_heir_inherited_goes_to_its_own_heir() {
    let mut nodes = nodes(4);
    nodes.access(0, Write);
    nodes.leave(0, 1);
    nodes.lose(0);
    nodes.leave(1, 2);
    nodes.lose(1);
    assert_eq!(nodes.0[3].births.home(PAGE), Some(node(2)));
    assert_eq!(nodes.access(3, Read), 3);
    assert_eq!(nodes.access(2, Write), 2);
}

#[test]
fn the_home_does_not_move_to_a_node_that_leaves_or_came_back() {
    let mut nodes = nodes(3);
    nodes.leave(1, 2);
    let back = nodes.order(1, Departing::Return);
    nodes.settle(1, back);
    for _ in 0..6 {
        nodes.access(1, Write);
        nodes.access(2, Read);
    }
    assert_eq!(nodes.0[0].home(PAGE), Some(node(0)));
}

#[test]
fn what_is_against_a_departure_is_said() {
    let mut nodes = nodes(3);
    let against = |nodes: &Nodes, at: usize, heir| nodes.0[at].refusal(node(heir));
    let not_heir = |heir| Some(CannotDepart::Heir(node(heir)));
    assert_eq!(against(&nodes, 0, 0), not_heir(0));
    assert_eq!(against(&nodes, 0, 9), not_heir(9));
    let fixed = Nodes::new(2);
    assert_eq!(against(&fixed, 0, 1), Some(CannotDepart::HomesStay));
    let heir_is = node(1);
    nodes.order(0, Departing::Begin { heir: heir_is });
    assert_eq!(against(&nodes, 0, 1), Some(CannotDepart::UnderWay));
    let announced = nodes.order(0, ON);
    nodes.settle(0, announced);
    assert_eq!(against(&nodes, 2, 1), Some(CannotDepart::Another(node(0))));
    for _ in 0..3 {
        let commands = nodes.order(0, ON);
        nodes.settle(0, commands);
    }
    assert_eq!(nodes.phase(0), Phase::Left);
    assert_eq!(against(&nodes, 2, 0), not_heir(0));
    assert_eq!(against(&nodes, 2, 1), None);
    nodes.lose(0);
    nodes.lose(1);
    assert_eq!(against(&nodes, 2, 1), Some(CannotDepart::Halted));
}

#[test]
fn notices_that_no_correct_node_sends_are_refused() {
    let mut nodes = nodes(3);
    let refused = |nodes: &mut Nodes, from, message: Message| {
        let before = nodes.0[2].clone();
        let refused = nodes.tell(from, 2, message);
        refused.is_err_and(|violation| violation.kind() == "unexpected") && before == nodes.0[2]
    };
    // Nothing was announced, no one was asked, no one has left.
    for message in [Message::Leave, Message::Agree, Message::Back] {
        assert!(refused(&mut nodes, 0, message));
    }
    for stranger in [0, 9] {
        assert!(refused(&mut nodes, 0, heir(stranger)));
    }
    let message = "Reclaim";
    let wrong = Violation::WrongNode {
        page: PAGE,
        message,
    };
    assert_eq!(nodes.tell(1, 2, RECLAIM), Err(wrong));
    assert_eq!(nodes.tell(0, 2, heir(1)), Ok(vec![send(0, Message::Agree)]));
    // Once is enough; and who is an heir has none that left.
    assert!(refused(&mut nodes, 0, heir(1)));
    assert!(refused(&mut nodes, 1, heir(0)));
    assert_eq!(
        nodes.tell(0, 2, Message::Leave),
        Ok(vec![send(0, Message::Agree)])
    );
    assert!(refused(&mut nodes, 0, Message::Leave));
}

#[test]
fn a_second_departure_is_noted_and_waits_for_the_first() {
    let mut nodes = nodes(4);
    assert_eq!(nodes.tell(0, 3, heir(2)), Ok(vec![send(0, Message::Agree)]));
    assert_eq!(nodes.tell(1, 3, heir(2)), Ok(vec![]));
    assert_eq!(
        nodes.tell(0, 3, Message::Leave).map(|sent| sent.len()),
        Ok(2)
    );
}

#[test]
fn a_node_is_not_let_go_while_what_it_sent_is_under_way() {
    let mut nodes = nodes(3);
    nodes.access(2, Write);
    // Node 0, the home, has node 2 send the page to node 1, where it does not arrive yet.
    let asked = nodes.fault(1, Write);
    let is_data = |message: &Message| matches!(message, Message::Data { .. });
    nodes.settle_but(1, asked, is_data);
    nodes.order(2, Departing::Begin { heir: node(1) });
    for _ in 0..5 {
        let commands = nodes.order(2, ON);
        nodes.settle_but(2, commands, is_data);
    }
    assert_eq!(nodes.phase(2), Phase::Closing);
    let arrived = nodes.tell(2, 1, data(2, 1)).unwrap();
    nodes.settle(1, arrived);
    assert_eq!(nodes.phase(2), Phase::Left);
}

#[test]
fn an_heir_does_not_believe_that_nobody_touched_what_it_holds() {
    let mut nodes = nodes(2);
    nodes.access(1, Write);
    assert_eq!(nodes.tell(0, 1, heir(1)), Ok(vec![send(0, Message::Agree)]));
    let before = nodes.0[1].clone();
    let refused = nodes.tell(0, 1, Message::Leave);
    assert!(refused.is_err_and(|violation| violation.kind() == "unexpected"));
    assert_eq!(nodes.0[1], before);
}

#[test]
fn a_node_that_leaves_asks_for_words_that_may_wait_and_lets_none_wait_any_more() {
    // Node 0 leaves, whose page node 1 has got and has not said so.
    let mut nodes = nodes(3);
    nodes.fault(1, Write);
    let promise = calm(grant(1, Rights::Write, 0, Source::Zero, &[]));
    let granted = nodes.tell(1, 0, request(Write));
    assert_eq!(granted, Ok(vec![send(1, promise)]));
    nodes.order(0, Departing::Begin { heir: node(2) });
    let hurry = send(1, Message::Hurry { page: PAGE });
    assert!(nodes.order(0, ON).contains(&hurry));
    assert!(!nodes.order(0, ON).contains(&hurry), "once");
    // A home that is told of a departure asks, too: here node 0, of node 2's.
    let mut nodes = self::nodes(3);
    nodes.fault(1, Write);
    nodes.tell(1, 0, request(Write)).unwrap();
    nodes.tell(2, 0, heir(0)).unwrap();
    let told = nodes.tell(2, 0, Message::Leave).unwrap();
    assert_eq!(told, [hurry, send(2, Message::Agree)]);
    // From then on until it has left it lets no word wait; then it does again.
    let other = Message::Request {
        page: PageIndex(0),
        access: Write,
    };
    let granted = nodes.tell(1, 0, other).unwrap();
    let is_calm = |command: &Command<Message>| match command {
        Command::Send {
            message: Message::Grant { grant, .. },
            ..
        } => grant.calm,
        _ => false,
    };
    assert!(granted.iter().any(is_calm), "node 2 has left");
}
