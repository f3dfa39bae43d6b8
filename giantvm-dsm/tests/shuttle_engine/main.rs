//! The races between faults, messages and threads, on whole drivers under shuttle's schedules.
//!
//! Every node is a real [`Driver`](giantvm_dsm::engine::Driver) with a thread that plays its pump,
//! over simulated memory and a transport whose classes overtake each other as the schedule says.
//! Each test names its race, and counts how often the race happened: it may not be zero.

/// The primitives of what is checked: shuttle decides who runs at each of them.
mod primitives {
    pub(crate) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};

    /// The pumps here never sleep, so nothing needs to ring.
    #[derive(Debug)]
    pub(crate) struct Bell;

    impl Bell {
        #[expect(clippy::unnecessary_wraps, reason = "as of the real one")]
        pub(crate) fn new() -> std::io::Result<Self> {
            Ok(Self)
        }

        #[expect(clippy::unused_self, reason = "as of the real one")]
        pub(crate) fn ring(&self) {}

        #[expect(clippy::unused_self, reason = "as of the real one")]
        pub(crate) fn hush(&self) {}
    }
}

#[path = "../../src/engine/orders.rs"]
#[expect(dead_code, reason = "no bell is waited for")]
mod orders;
#[path = "../../src/engine/pin.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "public in its crate, and partly used here"
)]
mod pin;

mod backing;
mod broken;
mod cluster;
mod explore;
mod ledger;
mod litmus;
mod loss;
mod net;
mod node;
mod races;
mod sound;
mod watched;

use giantvm_dsm::protocol;
