//! What the threads of a node share with its pump, under every interleaving.

mod primitives {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};

    /// The kernel's event counter: readable, for as long as nobody reads it, once it was rung.
    #[derive(Debug, Default)]
    pub(crate) struct Bell {
        rung: Mutex<bool>,
        changed: Condvar,
    }

    impl Bell {
        #[expect(clippy::unnecessary_wraps, reason = "as of the real one")]
        pub(crate) fn new() -> std::io::Result<Self> {
            Ok(Self::default())
        }

        pub(crate) fn ring(&self) {
            *self.rung.lock().unwrap() = true;
            self.changed.notify_all();
        }

        pub(crate) fn hush(&self) {
            *self.rung.lock().unwrap() = false;
        }

        /// What waiting for the descriptor does.
        pub(crate) fn wait(&self) {
            let mut rung = self.rung.lock().unwrap();
            while !*rung {
                rung = self.changed.wait(rung).unwrap();
            }
        }
    }
}
#[path = "../../src/engine/farewells.rs"]
mod farewells;
#[path = "../../src/engine/orders.rs"]
#[expect(dead_code, reason = "no one leaves here")]
mod orders;
#[path = "../../src/engine/pin.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "public in its crate, and here only its end is tested"
)]
mod pin;
#[path = "../../src/engine/stop.rs"]
mod stop;

mod asking;

use std::time::Duration;

use farewells::Farewells;
use giantvm_core::{NodeId, NodeSet};
use loom::sync::Arc;
use loom::thread;
use stop::StopSwitch;

/// Under loom no time passes: a wait that nothing ends is found as a deadlock.
const PATIENCE: Duration = Duration::from_secs(3600);

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

fn waiter(farewells: &Arc<Farewells>) -> thread::JoinHandle<Result<(), NodeSet>> {
    let farewells = Arc::clone(farewells);
    thread::spawn(move || farewells.wait(PATIENCE))
}

#[test]
fn the_last_farewell_ends_the_wait_whenever_it_comes() {
    loom::model(|| {
        let farewells = Arc::new(Farewells::new(NodeSet::first(3).without(NodeId::ZERO)));
        let waiter = waiter(&farewells);
        farewells.received(node(1));
        farewells.received(node(2));
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_peer_that_goes_without_a_word_ends_the_wait_whenever_it_goes() {
    loom::model(|| {
        let farewells = Arc::new(Farewells::new(NodeSet::only(node(1))));
        let waiter = waiter(&farewells);
        assert!(!farewells.left(node(1)));
        assert_eq!(waiter.join().unwrap(), Err(NodeSet::only(node(1))));
    });
}

#[test]
fn a_peer_that_goes_after_its_farewell_fails_no_wait() {
    loom::model(|| {
        let farewells = Arc::new(Farewells::new(NodeSet::first(3).without(NodeId::ZERO)));
        let waiter = waiter(&farewells);
        farewells.received(node(1));
        assert!(farewells.left(node(1)));
        farewells.received(node(2));
        assert!(farewells.left(node(2)));
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_stop_ends_the_pumps_wait_and_is_seen_when_it_does() {
    loom::model(|| {
        let stop = Arc::new(StopSwitch::new().unwrap());
        let pump = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut turns = 0;
                while !stop.is_set() {
                    turns += 1;
                    stop.bell().wait();
                }
                turns
            })
        };
        stop.set();
        // A second turn would be a pump that the bell woke and that did not find the flag.
        assert!(pump.join().unwrap() <= 1);
    });
}
