//! Reliable, ordered, bidirectional frames between the named nodes of a cluster.
//!
//! This crate moves [`Frame`](giantvm_core::wire::Frame)s; it does not know what they mean, and it
//! does not route: every node has a link to every other one.
#![forbid(unsafe_code)]

mod admission;
mod api;
mod connect;
pub mod handshake;
pub mod inproc;
mod join;
mod link;
pub mod tcp;
#[cfg(feature = "testing")]
pub mod testing;
mod traffic;
mod wake;
pub mod wrap;

pub use admission::QUEUE_LIMIT;
pub use api::{Event, Loss, SendError, Traffic, Transport};
pub use connect::{Connector, join_blocking};
pub use join::{ConfigError, DEADLINE, JoinConfig, JoinError, Missing, NodeEntry, Progress, Why};
