//! How the nodes of a cluster find each other: what they are told, and what can go wrong.

mod config;
mod error;
mod progress;

pub use config::{ConfigError, DEADLINE, JoinConfig, NodeEntry, SameHost};
pub use error::JoinError;
pub use progress::{Missing, Progress, Why};
