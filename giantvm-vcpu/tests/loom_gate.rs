//! Every interleaving of a vCPU's thread with a kick, and with a pause: neither is lost.

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
}

impl Kernel {
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
    gate.leave();
}

#[test]
fn a_kick_gets_the_thread_out_whenever_it_comes() {
    model(|| {
        let (gate, kernel) = (Arc::new(Gate::new()), Arc::new(Kernel::default()));
        let kicker = {
            let (gate, kernel) = (Arc::clone(&gate), Arc::clone(&kernel));
            thread::spawn(move || gate.kick(|()| kernel.signal()))
        };
        while gate.enter(()) == Entry::Run {
            inside(&gate, &kernel);
        }
        kicker.join().unwrap();
    });
}

#[test]
fn a_pause_finds_the_thread_outside_and_a_resume_lets_it_in() {
    model(|| {
        let (gate, kernel) = (Arc::new(Gate::new()), Arc::new(Kernel::default()));
        let in_guest = Arc::new(AtomicBool::new(false));
        let pauser = {
            let (gate, kernel, in_guest) = (gate.clone(), kernel.clone(), in_guest.clone());
            thread::spawn(move || {
                gate.pause(|()| kernel.signal());
                // A deadline is not modelled: this waits until nobody is inside.
                assert!(gate.wait_empty(Instant::now() + Duration::from_secs(3600)));
                assert!(!in_guest.load(Ordering::SeqCst));
                gate.resume();
                gate.kick(|()| kernel.signal());
            })
        };
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
            gate.leave();
        }
        pauser.join().unwrap();
    });
}
