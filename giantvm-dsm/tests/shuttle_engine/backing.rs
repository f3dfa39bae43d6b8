//! The simulated memory, over shuttle's primitives.

pub(crate) use crate::primitives;
pub(crate) use giantvm_dsm::backing::{Backing, BackingError, Fault};

#[path = "../../src/backing/sim/mod.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "public in its crate, and partly used here"
)]
pub(crate) mod sim;
