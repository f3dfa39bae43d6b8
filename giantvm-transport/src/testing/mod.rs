//! A conformance suite for implementations of [`Transport`].
//!
//! An implementer calls [`suite`] from a test, with a function that makes a cluster:
//!
//! ```
//! use std::sync::Arc;
//! use giantvm_transport::testing::{EPOCH, LIMITS, suite};
//! use giantvm_transport::{Transport, inproc};
//!
//! suite(|nodes| {
//!     let cluster = inproc::cluster(nodes, EPOCH, LIMITS).unwrap();
//!     cluster.into_iter().map(|node| node as Arc<dyn Transport>).collect()
//! });
//! ```

mod delivery;
mod flow;
mod net;
mod tcp;
mod time;

use std::sync::Arc;

use giantvm_core::Epoch;
use giantvm_core::wire::Limits;

pub use self::net::Net;
pub use self::tcp::{loopback_configs, socket_cluster, tcp_cluster};
use crate::Transport;

/// The limits that the clusters of the suite must have.
pub const LIMITS: Limits = Limits {
    max_payload: 64 << 10,
};
/// The epoch that the clusters of the suite must have.
pub const EPOCH: Epoch = Epoch::FIRST;

type Check = (&'static str, usize, fn(&mut Net));

/// What the suite checks: a name, how many nodes it needs, and the check.
const CHECKS: &[Check] = &[
    ("every node knows its peers", 3, delivery::peers),
    ("a class keeps its order, both ways", 2, delivery::order),
    ("every node reaches every other", 4, delivery::all_to_all),
    ("large payloads arrive whole", 2, delivery::large),
    ("impossible sends are refused", 2, delivery::refused),
    ("traffic is counted", 2, delivery::counted),
    ("threads send at the same time", 2, delivery::threads),
    ("frames carry their sender's time", 2, time::stamps),
    ("threads that share a clock", 2, time::racing),
    ("an urgent frame passes bulk", 2, flow::urgent),
    ("ready tells of work, level-triggered", 2, flow::ready),
    ("closing flushes, and is seen once", 3, flow::close),
    ("severing ends one link, with its reason", 3, flow::sever),
];

/// Checks that the transports which `make` returns keep the promises of [`Transport`].
///
/// `make` is called several times with a number of nodes up to 4. It returns one transport per
/// node, in order of their numbers, with [`LIMITS`] and [`EPOCH`]; nothing may be lost or refused
/// on its own account.
///
/// # Panics
/// If a promise is broken; the message says which.
pub fn suite(make: impl Fn(usize) -> Vec<Arc<dyn Transport>>) {
    for (name, nodes, check) in CHECKS {
        eprintln!("transport suite: {name}");
        check(&mut Net::new(make(*nodes)));
    }
}
