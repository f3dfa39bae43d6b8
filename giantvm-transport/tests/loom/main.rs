//! What threads share inside the transports, under every interleaving.

/// Loom's primitives under the names that the structures expect.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

    /// The kernel's event counter.
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

        pub(crate) fn silence(&self) {
            *self.rung.lock().unwrap() = false;
        }

        pub(crate) fn rings(&self) -> bool {
            *self.rung.lock().unwrap()
        }

        /// What waiting for the descriptor does. A ring that is lost is found as a deadlock.
        pub(crate) fn wait(&self) {
            let mut rung = self.rung.lock().unwrap();
            while !*rung {
                rung = self.changed.wait(rung).unwrap();
            }
        }
    }
}
#[expect(unreachable_pub, reason = "public in the crate")]
#[path = "../../src/clock.rs"]
mod clock;
#[path = "../../src/wake.rs"]
mod wake;
mod admission {
    pub(crate) use giantvm_transport::QUEUE_LIMIT;

    /// Memory is not what these tests are about.
    pub(crate) fn charge(_: &giantvm_core::wire::Frame) -> usize {
        1
    }
}
pub(crate) use giantvm_transport::{Event, Loss, SendError};

mod inproc;
mod pipe;
mod tcp;
mod time;

use giantvm_core::wire::{Frame, Service};
use giantvm_core::{Epoch, NodeId};

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

fn frame(from: u8, kind: u8) -> Frame {
    Frame::control(Service::Dsm, kind, node(from), Epoch::FIRST, &[]).unwrap()
}
