//! The primitives under the crate's own shared structures, so that they can be checked with loom.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
