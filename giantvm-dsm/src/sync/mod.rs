//! Synchronisation that lives in the shared memory and works across nodes.
//!
//! A [`Lock`] and a [`Barrier`] are plain `#[repr(C)]` structures of atomics: put them in a
//! [`Region`](crate::view::Region). All zeroes is their initial state. They need nothing but
//! memory that is sequentially consistent, so they work the same between threads and nodes.
//!
//! A waiter spins briefly, then sleeps for longer and longer, up to a millisecond: every look at a
//! word takes the page away from the node that is about to write it.
//!
//! There is no timeout and no recovery. If a node dies, the shared memory ends access to what may
//! be lost with it, which ends the program on the other nodes too: a lock whose holder died is
//! never passed on.

mod barrier;
mod lock;
mod own_pages;
mod primitives;
mod rendezvous;
mod ticket;

pub use barrier::Barrier;
pub use lock::{Lock, LockGuard};
pub use own_pages::OwnPages;
