//! The primitives of the simulated memory, so that drivers over it can be checked with shuttle.

pub(super) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
