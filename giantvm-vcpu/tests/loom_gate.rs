//! Every interleaving of a vCPU's thread with a kick, a pause and a hold: none is lost.

mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex};
}
#[path = "../src/gate.rs"]
mod gate;

use std::time::{Duration, Instant};

use gate::{Entry, Gate};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

/// All interleavings with at most three switches away from a thread that could go on.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// `KVM_RUN` with its immediate-exit byte: sleeps until a signal's handler sets the byte.
#[derive(Default)]
struct Kernel {
    immediate_exit: AtomicBool,
    /// Whether the thread runs before others.
    hasty: AtomicBool,
}

impl Kernel {
    fn hasten(&self) -> bool {
        self.signal();
        !self.hasty.swap(true, Ordering::SeqCst)
    }

    /// What a thread does that comes out.
    fn leave(&self, gate: &Gate<()>) {
        if gate.leave() {
            assert!(self.hasty.swap(false, Ordering::SeqCst));
        }
        // Nobody hastens a thread that is outside, and no one else calms it down.
        assert!(!self.hasty.load(Ordering::SeqCst));
    }

    fn signal(&self) {
        self.immediate_exit.store(true, Ordering::SeqCst);
    }

    fn run(&self) {
        while !self.immediate_exit.load(Ordering::SeqCst) {
            thread::yield_now();
        }
    }
}

/// What the vCPU's thread does between entering and leaving, with a guest that never exits by
/// itself.
fn inside(gate: &Gate<()>, kernel: &Kernel) {
    loop {
        kernel.immediate_exit.store(false, Ordering::SeqCst);
        if gate.interrupted() {
            break;
        }
        kernel.run();
    }
    kernel.leave(gate);
}

#[test]
fn a_kick_gets_the_thread_out_whenever_it_comes() {
    model(|| {
        let (gate, kernel) = (Arc::new(Gate::new()), Arc::new(Kernel::default()));
        let kicker = {
            let (gate, kernel) = (Arc::clone(&gate), Arc::clone(&kernel));
            thread::spawn(move || gate.kick(|()| kernel.hasten()))
        };
        while gate.enter(()) == Entry::Run {
            inside(&gate, &kernel);
        }
        kicker.join().unwrap();
    });
}

/// A vCPU's thread until it is kicked, whose guest executes only while `in_guest` says so.
fn run_guest(gate: &Gate<()>, kernel: &Kernel, in_guest: &AtomicBool) {
    while gate.enter(()) == Entry::Run {
        in_guest.store(true, Ordering::SeqCst);
        loop {
            kernel.immediate_exit.store(false, Ordering::SeqCst);
            if gate.interrupted() {
                break;
            }
            kernel.run();
        }
        in_guest.store(false, Ordering::SeqCst);
        kernel.leave(gate);
    }
}

/// Closes the gate, finds nobody inside, and opens it again.
fn keep_out(
    gate: &Gate<()>,
    in_guest: &AtomicBool,
    close: impl FnOnce(&Gate<()>),
    open: impl FnOnce(&Gate<()>),
) {
    close(gate);
    // A deadline is not modelled: this waits until nobody is inside.
    assert!(gate.wait_empty(Instant::now() + Duration::from_secs(3600)));
    assert!(!in_guest.load(Ordering::SeqCst));
    open(gate);
}

#[test]
fn a_pause_finds_the_thread_outside_and_a_resume_lets_it_in() {
    model(|| {
        let (gate, kernel) = (Arc::new(Gate::new()), Arc::new(Kernel::default()));
        let in_guest = Arc::new(AtomicBool::new(false));
        let pauser = {
            let (gate, kernel, in_guest) = (gate.clone(), kernel.clone(), in_guest.clone());
            thread::spawn(move || {
                let pause = |gate: &Gate<()>| gate.pause(|()| kernel.hasten());
                keep_out(&gate, &in_guest, pause, Gate::resume);
                gate.kick(|()| kernel.hasten());
            })
        };
        run_guest(&gate, &kernel, &in_guest);
        pauser.join().unwrap();
    });
}

#[test]
fn a_hold_finds_the_thread_outside_and_its_end_lets_it_in() {
    model(|| {
        let (gate, kernel) = (Arc::new(Gate::new()), Arc::new(Kernel::default()));
        let in_guest = Arc::new(AtomicBool::new(false));
        let holder = {
            let (gate, kernel, in_guest) = (gate.clone(), kernel.clone(), in_guest.clone());
            thread::spawn(move || {
                let hold = |gate: &Gate<()>| gate.hold(|()| kernel.hasten());
                keep_out(&gate, &in_guest, hold, Gate::release);
                gate.kick(|()| kernel.hasten());
            })
        };
        run_guest(&gate, &kernel, &in_guest);
        holder.join().unwrap();
    });
}

#[test]
fn the_end_of_a_pause_lets_nobody_in_who_is_held() {
    model(|| {
        let (gate, kernel) = (Arc::new(Gate::new()), Arc::new(Kernel::default()));
        let in_guest = Arc::new(AtomicBool::new(false));
        gate.pause(|()| unreachable!("nobody is inside yet"));
        let resumer = {
            let gate = gate.clone();
            thread::spawn(move || gate.resume())
        };
        let holder = {
            let (gate, kernel, in_guest) = (gate.clone(), kernel.clone(), in_guest.clone());
            thread::spawn(move || {
                let hold = |gate: &Gate<()>| gate.hold(|()| kernel.hasten());
                keep_out(&gate, &in_guest, hold, Gate::release);
                gate.kick(|()| kernel.hasten());
            })
        };
        run_guest(&gate, &kernel, &in_guest);
        resumer.join().unwrap();
        holder.join().unwrap();
    });
}

#[test]
fn who_waits_gets_in_when_the_pause_or_the_hold_ends_and_nobody_kicks() {
    type Step = fn(&Gate<()>);
    let reasons: [(Step, Step); 2] = [
        (|gate| gate.pause(|()| unreachable!()), Gate::resume),
        (|gate| gate.hold(|()| unreachable!()), Gate::release),
    ];
    for (close, open) in reasons {
        model(move || {
            let gate = Arc::new(Gate::new());
            close(&gate);
            let opener = {
                let gate = Arc::clone(&gate);
                thread::spawn(move || open(&gate))
            };
            assert_eq!(gate.enter(()), Entry::Run);
            assert!(!gate.leave());
            opener.join().unwrap();
        });
    }
}
