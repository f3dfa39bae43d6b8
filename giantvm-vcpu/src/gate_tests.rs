//! Tests of the gate by one thread; `tests/loom_gate.rs` checks it with several.

use std::time::Instant;

use crate::gate::{Entry, Gate};

#[test]
fn a_kick_before_entering_is_not_lost_and_counts_once() {
    let gate = Gate::new();
    gate.kick(|()| panic!("nobody is inside"));
    gate.kick(|()| panic!("nobody is inside"));
    assert_eq!(gate.enter(()), Entry::Kicked);
    assert_eq!(gate.enter(()), Entry::Run);
}

#[test]
fn a_kick_wakes_the_one_inside() {
    let gate = Gate::new();
    assert_eq!(gate.enter(7), Entry::Run);
    let mut woken = None;
    gate.kick(|thread| {
        woken = Some(thread);
        false
    });
    assert_eq!(woken, Some(7));
    assert!(gate.interrupted());
    assert!(!gate.leave());
    assert_eq!(gate.enter(7), Entry::Kicked);
}

#[test]
fn who_was_hastened_to_come_out_is_told_once() {
    let gate = Gate::new();
    assert_eq!(gate.enter(7), Entry::Run);
    gate.pause(|thread| thread == 7);
    gate.hold(|_| false);
    assert!(gate.leave());
    gate.resume();
    gate.release();
    assert_eq!(gate.enter(7), Entry::Run);
    assert!(!gate.leave());
}

#[test]
fn a_pause_waits_for_the_one_inside() {
    let gate = Gate::new();
    assert_eq!(gate.enter(()), Entry::Run);
    gate.pause(|()| false);
    assert!(!gate.wait_empty(Instant::now()));
    assert!(!gate.leave());
    assert!(gate.wait_empty(Instant::now()));
    gate.resume();
    assert_eq!(gate.enter(()), Entry::Run);
}

#[test]
fn a_hold_outlasts_a_pause_and_a_pause_a_hold() {
    let gate = Gate::new();
    gate.pause(|()| false);
    gate.hold(|()| false);
    gate.resume();
    assert!(gate.interrupted());
    gate.pause(|()| false);
    gate.release();
    assert!(gate.interrupted());
    gate.resume();
    assert_eq!(gate.enter(()), Entry::Run);
}
