//! The primitives of the structures that are checked under loom, which takes its own instead.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
