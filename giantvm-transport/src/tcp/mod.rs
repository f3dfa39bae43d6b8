//! Links over TCP.
//!
//! Joining is asynchronous and temporary: a [`TcpConnector`] listens, dials, greets and waits
//! until every node has all its links. Then the sockets move into a [`TcpTransport`], which has no
//! threads and no runtime.
//!
//! ```
//! use giantvm_core::NodeId;
//! use giantvm_transport::tcp::TcpConnector;
//! use giantvm_transport::{JoinConfig, NodeEntry, join_blocking};
//!
//! // Two nodes of one process; real ones have a process each.
//! let listeners = [(); 2].map(|()| std::net::TcpListener::bind("[::1]:0").unwrap());
//! let entry = |(name, listener): (&str, &std::net::TcpListener)| NodeEntry {
//!     name: name.into(),
//!     address: listener.local_addr().unwrap().to_string(),
//! };
//! let nodes: Vec<_> = ["a", "b"].into_iter().zip(&listeners).map(entry).collect();
//! let joined = std::thread::scope(|scope| {
//!     let start = |(number, listener)| {
//!         let local = NodeId::try_from(number).unwrap();
//!         let config = JoinConfig::new("docs", nodes.clone(), local);
//!         let connector = TcpConnector::with_listener(config, listener);
//!         scope.spawn(move || join_blocking(&connector, &|progress| println!("{progress}")))
//!     };
//!     let threads: Vec<_> = listeners.into_iter().enumerate().map(start).collect();
//!     threads.into_iter().all(|thread| thread.join().unwrap().is_ok())
//! });
//! assert!(joined);
//! ```

mod alarm;
mod connection;
mod connector;
mod input;
mod keepalive;
mod open;
mod outlet;
mod output;
#[cfg(test)]
mod output_tests;
mod pipe_input;
mod piped;
mod poller;
mod rendezvous;
mod transport;

pub use connector::TcpConnector;
pub use keepalive::{HEARTBEAT, SILENCE};
pub use transport::TcpTransport;
