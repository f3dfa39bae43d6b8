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
    gate.kick(|thread| woken = Some(thread));
    assert_eq!(woken, Some(7));
    assert!(gate.interrupted());
    gate.leave();
    assert_eq!(gate.enter(7), Entry::Kicked);
}

#[test]
fn a_pause_waits_for_the_one_inside() {
    let gate = Gate::new();
    assert_eq!(gate.enter(()), Entry::Run);
    gate.pause(|()| ());
    assert!(!gate.wait_empty(Instant::now()));
    gate.leave();
    assert!(gate.wait_empty(Instant::now()));
    gate.resume();
    assert_eq!(gate.enter(()), Entry::Run);
}

#[test]
fn a_hold_outlasts_a_pause_and_a_pause_a_hold() {
    let gate = Gate::new();
    gate.pause(|()| ());
    gate.hold(|()| ());
    gate.resume();
    assert!(gate.interrupted());
    gate.pause(|()| ());
    gate.release();
    assert!(gate.interrupted());
    gate.resume();
    assert_eq!(gate.enter(()), Entry::Run);
}
