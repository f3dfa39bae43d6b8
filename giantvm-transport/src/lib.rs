//! Reliable, ordered, bidirectional frames between the named nodes of a cluster.
//!
//! This crate moves [`Frame`](giantvm_core::wire::Frame)s; it does not know what they mean, and it
//! does not route: every node has a link to every other one.
//!
//! * [`Transport`] is the seam: an object-safe trait of links with three traffic classes, pumped
//!   by one thread and open to all for sending.
//! * [`LogicalClock`] is a node's place in the order of causes and effects, which every frame
//!   carries on: what travels beside the shared memory stays in order with it.
//! * [`tcp`] joins processes and hosts, those of one host through memory that they share
//!   ([`SameHost`]): a [`Connector`] waits for all nodes with a deadline, the [`handshake`] finds
//!   mistakes before they do harm, and keepalive finds a dead node within a second.
//! * [`inproc`] joins nodes of one process.
//! * [`wrap`] has transports that stack on any other: faults on demand, and a recording.
//! * `testing` (feature) is the conformance suite for transports of your own.
//!
//! What it does not do: there is no encryption and no proof of identity, so the network between
//! the nodes must be one that you trust; and a link that was lost does not come back.
//!
//! ```
//! use giantvm_core::wire::{Class, Frame, Limits, Service};
//! use giantvm_core::{Epoch, NodeId, PageSize};
//! use giantvm_transport::{Event, Transport, inproc};
//!
//! fn greet(node: &dyn Transport) -> Result<(), Box<dyn std::error::Error>> {
//!     for peer in node.peers() {
//!         let hello = Frame::control(Service::Machine, 0, node.local(), Epoch::FIRST, b"hello")?;
//!         node.send(peer, Class::Control, hello)?;
//!     }
//!     Ok(())
//! }
//!
//! let nodes = inproc::cluster(3, Epoch::FIRST, Limits::for_pages(PageSize::K4))?;
//! for node in &nodes {
//!     greet(node.as_ref())?;
//! }
//! let mut heard_from = Vec::new();
//! nodes[2].poll(&mut |event| match event {
//!     Event::Frame { frame, .. } => heard_from.push(frame.from.get()),
//!     Event::Lost { node, loss } => panic!("node {node}: {loss}"),
//! });
//! assert_eq!(heard_from, [0, 1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod admission;
mod api;
mod bell;
mod clock;
mod connect;
pub mod handshake;
pub mod inproc;
mod join;
mod link;
mod pipe;
mod sync;
pub mod tcp;
#[cfg(feature = "testing")]
pub mod testing;
mod traffic;
mod wake;
pub mod wrap;

pub use admission::QUEUE_LIMIT;
pub use api::{Event, Loss, SendError, Traffic, Transport};
pub use clock::LogicalClock;
pub use connect::{Connector, join_blocking};
pub use join::{
    ConfigError, DEADLINE, JoinConfig, JoinError, Missing, NodeEntry, Progress, SameHost, Why,
};
