//! A deterministic cluster on a virtual clock: the real protocol, simulated memory and network.
//!
//! [`Cluster`] runs any [`CoherenceProtocol`](crate::protocol::CoherenceProtocol) on up to 64
//! nodes. Every node has virtual threads that read and write words of shared pages; an access
//! without rights faults, and its thread waits for a wake. Messages cross their real wire form and
//! take random times; their order is kept only from one node to another within one traffic class.
//! After every step the [invariants] are checked over the pages as they are really mapped. All
//! randomness comes from one seed: equal seeds give equal runs.
//!
//! ```
//! use giantvm_dsm::protocol::Directory;
//! use giantvm_dsm::testing::{Cluster, Config};
//!
//! let config = Config { nodes: 4, pages: 2, seed: 7, ..Config::default() };
//! let mut cluster = Cluster::<Directory>::new(config);
//! cluster.plan_random(20);
//! let report = cluster.run()?;
//! assert_eq!(report.accesses, 4 * 2 * 20);
//! # Ok::<(), giantvm_dsm::testing::Failure>(())
//! ```
//!
//! [`history`] checks what threads of a real cluster recorded.

mod adversary;
mod chaos;
mod cluster;
mod config;
pub mod conformance;
mod failure;
pub mod history;
mod inspect;
pub mod invariants;
pub mod model;
mod network;
mod node;
mod oracle;
mod scenario;
mod shrink;
mod trace;
pub mod transitions;

pub use adversary::Adversary;
pub use chaos::{Chaos, Disturbances};
pub use cluster::{Cluster, Report};
pub use config::{Config, Op};
pub use failure::Failure;
pub use inspect::{Holding, Inspect};
pub use scenario::Scenario;
