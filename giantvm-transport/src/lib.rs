//! Reliable, ordered, bidirectional frames between the named nodes of a cluster.
//!
//! This crate moves [`Frame`](giantvm_core::wire::Frame)s; it does not know what they mean, and it
//! does not route: every node has a link to every other one.

mod api;

pub use api::{Event, Loss, SendError, Traffic, Transport};
