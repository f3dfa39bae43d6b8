//! Broken on purpose: the races have to notice.

use giantvm_core::PageIndex;

use crate::protocol::directory::Message;
use crate::protocol::{Command, Directory, FrameFate, Rights, Tick};
use crate::watched::{Spoil, Subject};
use crate::{litmus, loss, races};

fn spoilt(spoil: Spoil<Message>) -> Subject<Directory> {
    Subject {
        make: |setup| Directory::with_rest(setup, Tick(0)),
        takes: true,
        spoil,
    }
}

/// Whether the command takes a copy that a writer elsewhere wants gone.
fn invalidates(command: &Command<Message>) -> bool {
    let frame = FrameFate::Drop;
    matches!(command, Command::Unmap { frame: fate, .. } if *fate == frame)
}

#[test]
#[should_panic(expected = "the flag came before the data")]
fn a_copy_that_is_never_taken_is_noticed_by_who_is_told_of_the_data() {
    let subject = spoilt(|commands| {
        let data = Some(PageIndex(0));
        commands.retain(|command| !invalidates(command) || command.changes() != data);
    });
    litmus::a_message_passed_through_two_pages_is_never_ahead_of_what_it_is_about(subject);
}

#[test]
#[should_panic(expected = "a load missed a store that had ended")]
fn an_acknowledgement_before_the_unmapping_is_noticed_by_a_load_between_them() {
    let subject = spoilt(|commands| {
        if let [unmap, send @ Command::Send { .. }] = &mut commands[..]
            && invalidates(unmap)
        {
            std::mem::swap(unmap, send);
        }
    });
    litmus::a_load_that_begins_after_a_store_ended_sees_it(subject);
}

#[test]
#[should_panic(expected = "exceeded max_steps bound")]
fn a_fault_whose_wake_is_forgotten_is_noticed_as_a_run_without_end() {
    let subject = spoilt(|commands| {
        commands.retain(|command| !matches!(command, Command::Wake { .. }));
    });
    races::counters_that_all_nodes_increment_are_exact(subject);
}

#[test]
#[should_panic(expected = "lost data was shown")]
fn zeroes_in_place_of_data_are_noticed_when_a_peer_is_lost() {
    let subject = spoilt(|commands| {
        let (page, rights) = (PageIndex(2), Rights::Read);
        if commands.contains(&Command::Store { page }) {
            let map = |command: &&mut Command<_>| **command == Command::Map { page, rights };
            let maps = commands.iter_mut().filter(map);
            maps.for_each(|command| *command = Command::MapZero { page, rights });
        }
    });
    loss::a_peer_is_lost_while_a_fault_waits_for_it(subject);
}
