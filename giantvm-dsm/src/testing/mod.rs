//! A kit to check coherence protocols with: yours as well as those of this crate.
//!
//! One call, [`conformance::Suite::check`], holds a protocol to all the laws of
//! [`CoherenceProtocol`](crate::protocol::CoherenceProtocol). Its parts can be used alone:
//!
//! | part | what it does |
//! |---|---|
//! | [`Cluster`] | up to 64 nodes on a virtual clock: the real protocol, simulated memory and network |
//! | [`Scenario`] | a whole run as a value: made from a seed, repeated, shrunk when it fails |
//! | [`Chaos`] | evictions, pins, signals, partitions, links made anew, nodes that stop |
//! | [`invariants`] | what must hold after every step |
//! | [`model`] | every state of small worlds, searched with stateright |
//! | [`Adversary`] | a hostile node that lies in the protocol's own words |
//! | [`Roaming`] | the default protocol with homes that move early, for all of these |
//! | [`transitions`] | the table of every state and every message |
//! | [`history`] | what threads of a real cluster recorded, checked for consistency |
//!
//! A protocol has to implement [`Inspect`], most of which has defaults.
//!
//! # The simulated cluster
//! Every node has virtual threads that read and write words of shared pages; an access without
//! rights faults, and its thread waits for a wake. Messages cross their real wire form and take
//! random times, each link at its own speed; their order is kept only from one node to another
//! within one traffic class. Commands are carried out by the engine's own code, over memory that
//! refuses what does not fit. After every step the [invariants] are checked over the pages as they
//! are really mapped. All randomness comes from one seed: equal seeds give equal runs, byte for
//! byte.
//!
//! ```
//! use giantvm_dsm::protocol::Directory;
//! use giantvm_dsm::testing::{Config, Disturbances, Scenario};
//!
//! let config = Config { nodes: 4, pages: 2, seed: 7, ..Config::default() };
//! let scenario = Scenario::random(config, 20, Disturbances::LIVELY);
//! let report = scenario.check::<Directory>()?;
//! assert_eq!(report.accesses, 4 * 2 * 20);
//! # Ok::<(), giantvm_dsm::testing::Failure>(())
//! ```

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
mod roaming;
mod scenario;
mod shrink;
mod terse;
mod trace;
pub mod transitions;

pub use adversary::Adversary;
pub use chaos::{Afterwards, Chaos, Disturbances};
pub use cluster::{Cluster, Report};
pub use config::{Config, Op};
pub use failure::Failure;
pub use inspect::{Holding, Inspect};
pub use roaming::Roaming;
pub use scenario::Scenario;
