//! What a residence refuses, of its own node and of peers.

use giantvm_core::{NodeId, NodeSet};
use giantvm_vcpu::migration::{
    Command, Input, Message, MoveEpoch, MoveRefused, Outcome, Place, Residence, ResidenceError,
    Violation,
};
use giantvm_vcpu::{ArchState, Interrupt, Layout, Section};

use crate::world::{node, vcpu};

/// The first of three nodes; vCPU 0 is there, vCPU 1 on the second.
fn residence() -> Residence {
    let layout = Layout::new(node(0), vec![node(0), node(1)]).unwrap();
    Residence::new(&layout, [node(1), node(2)].into_iter().collect::<NodeSet>())
}

fn moved(vcpu_number: usize, to: usize) -> Input {
    let (vcpu, to) = (vcpu(vcpu_number), node(to));
    Input::Move { vcpu, to }
}

fn from(peer: usize, message: Message) -> Input {
    let from = node(peer);
    Input::Message { from, message }
}

fn refused(input: Input) -> MoveRefused {
    match residence().handle(input) {
        Err(ResidenceError::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_move_that_cannot_be_is_refused_by_name() {
    let place = Place {
        node: node(1),
        epoch: MoveEpoch::FIRST,
    };
    let away = vcpu(1);
    let not_here = MoveRefused::NotHere { vcpu: away, place };
    assert_eq!(refused(moved(1, 2)), not_here);
    assert_eq!(refused(moved(0, 0)), MoveRefused::AlreadyThere(vcpu(0)));
    assert_eq!(refused(moved(0, 3)), MoveRefused::NoSuchNode(node(3)));
    assert_eq!(refused(moved(2, 1)), MoveRefused::NoSuchVcpu(vcpu(2)));
}

#[test]
fn a_vcpu_has_one_move_at_a_time_and_another_vcpu_its_own() {
    let layout = Layout::new(node(0), vec![node(0), node(0)]).unwrap();
    let mut residence = Residence::new(&layout, [node(1)].into_iter().collect());
    residence.handle(moved(0, 1)).unwrap();
    let moving = ResidenceError::Refused(MoveRefused::Moving(vcpu(0)));
    assert_eq!(residence.handle(moved(0, 1)), Err(moving));
    assert!(residence.handle(moved(1, 1)).is_ok());
    let (vcpu, state) = (vcpu(0), Box::new(ArchState::new()));
    residence.handle(Input::Frozen { vcpu, state }).unwrap();
    assert_eq!(residence.handle(moved(0, 1)), Err(moving));
}

#[test]
fn a_state_that_is_too_large_stays() {
    let mut residence = residence();
    residence.handle(moved(0, 1)).unwrap();
    let mut state = Box::new(ArchState::new());
    state.set_section(
        Section::Program,
        vec![0; giantvm_vcpu::migration::MAX_STATE + 1],
    );
    let vcpu = vcpu(0);
    let back = Command::Load {
        vcpu,
        state: state.clone(),
    };
    let ended = Command::Ended {
        vcpu,
        to: node(1),
        outcome: Outcome::NotFrozen,
    };
    let commands = residence.handle(Input::Frozen { vcpu, state }).unwrap();
    assert_eq!(commands, [back]);
    let commands = residence.handle(Input::Loaded { vcpu }).unwrap();
    assert_eq!(commands, [Command::Run { vcpu }, ended]);
}

#[test]
fn what_a_peer_cannot_know_or_mean_is_a_violation_and_changes_nothing() {
    let (here, away, one) = (vcpu(0), vcpu(1), MoveEpoch(1));
    let state = || Box::new(ArchState::new());
    let interrupt = Interrupt::Nmi;
    let messages = [
        Message::Interrupt {
            vcpu: here,
            epoch: one,
            interrupt,
        },
        Message::Interrupt {
            vcpu: away,
            epoch: one,
            interrupt,
        },
        Message::Arrive {
            vcpu: here,
            epoch: one,
            state: state(),
        },
        Message::Arrive {
            vcpu: away,
            epoch: MoveEpoch(0),
            state: state(),
        },
        Message::Loaded {
            vcpu: here,
            epoch: one,
        },
        Message::Refused {
            vcpu: away,
            epoch: one,
        },
        Message::Commit {
            vcpu: away,
            epoch: one,
        },
        Message::At {
            vcpu: here,
            epoch: one,
        },
        Message::At {
            vcpu: vcpu(2),
            epoch: one,
        },
    ];
    for message in messages {
        let mut residence = residence();
        let result = residence.handle(from(1, message.clone()));
        assert!(
            matches!(result, Err(ResidenceError::Violation(_))),
            "{message:?}: {result:?}"
        );
        assert_eq!(residence, self::residence(), "{message:?}");
    }
}

#[test]
fn only_the_node_that_sends_a_vcpu_can_commit_it_and_only_its_destination_accept_it() {
    let (epoch, state) = (MoveEpoch(1), Box::new(ArchState::new()));
    let mut arriving = residence();
    let vcpu_away = vcpu(1);
    let vcpu = vcpu_away;
    arriving
        .handle(from(
            1,
            Message::Arrive {
                vcpu,
                epoch,
                state: state.clone(),
            },
        ))
        .unwrap();
    let commit = Message::Commit { vcpu, epoch };
    let no_such = |vcpu, peer: NodeId| {
        let from = peer;
        let violation = Violation::NoSuchMove { vcpu, epoch, from };
        Err(ResidenceError::Violation(violation))
    };
    assert_eq!(
        arriving.handle(from(1, commit.clone())),
        no_such(vcpu, node(1)),
        "too early"
    );
    arriving.handle(Input::Loaded { vcpu }).unwrap();
    assert_eq!(
        arriving.handle(from(2, commit.clone())),
        no_such(vcpu, node(2))
    );
    let commands = arriving.handle(from(1, commit)).unwrap();
    let (to, message) = (node(2), Message::At { vcpu, epoch });
    assert_eq!(
        commands,
        [Command::Run { vcpu }, Command::Send { to, message }]
    );

    let mut leaving = residence();
    let vcpu = self::vcpu(0);
    leaving.handle(moved(0, 1)).unwrap();
    leaving.handle(Input::Frozen { vcpu, state }).unwrap();
    let loaded = Message::Loaded { vcpu, epoch };
    assert_eq!(
        leaving.handle(from(2, loaded.clone())),
        no_such(vcpu, node(2))
    );
    assert!(leaving.handle(from(1, loaded)).is_ok());
}

#[test]
fn what_the_host_hands_back_while_a_vcpu_freezes_is_kept_and_not_handed_to_it_again() {
    let mut residence = residence();
    residence.handle(moved(0, 1)).unwrap();
    let (vcpu, interrupt) = (vcpu(0), Interrupt::Nmi);
    assert_eq!(
        residence.handle(Input::Interrupt { vcpu, interrupt }),
        Ok(vec![])
    );
    let commands = residence.handle(Input::NotFrozen { vcpu }).unwrap();
    assert_eq!(commands[0], Command::Deliver { vcpu, interrupt });
}

#[test]
fn news_of_an_epoch_that_is_known_are_old() {
    let mut residence = residence();
    let (vcpu, epoch) = (vcpu(1), MoveEpoch(1));
    let relocated = residence
        .handle(from(2, Message::At { vcpu, epoch }))
        .unwrap();
    assert_eq!(relocated, [Command::Relocate { vcpu, to: node(2) }]);
    assert_eq!(
        residence.handle(from(1, Message::At { vcpu, epoch })),
        Ok(vec![])
    );
    assert_eq!(residence.place(vcpu).unwrap().node, node(2));
}
