//! Pipes in shared memory between nodes of one host.
//!
//! For a peer on the same host each traffic class has, besides its TCP connection, a *pipe* in each
//! direction: a ring of bytes in memory that both processes map. Frames travel in it in the same
//! form as on a socket, without a system call while the receiver looks, and with one, the ring of a
//! bell, when it sleeps. The connections stay open beside it: their end is how the end of the peer is
//! noticed, and heartbeats go over them.
//!
//! * [`host`]: which nodes may share memory at all.
//! * [`ring`]: one direction of one class. Its logic knows nothing of where the memory is.
//! * [`segment`]: the memory of all rings of a pair of nodes, made by one and checked by the other.
//! * [`exchange`]: how the segment gets from one process to the other.
//! * [`doorbell`]: how the two wake each other.
//! * [`ends`]: what a node holds of its pipes with one peer.
//!
//! # Trust
//! The other process may write anything into the shared memory at any time. A node believes of it
//! only what it can check: that a position is not further than the ring is long. Bytes are copied
//! out before they are looked at. Positions of its own it keeps in its own memory. The segment is
//! sealed, so that no one can cut it under a mapping.

pub(crate) mod doorbell;
pub(crate) mod ends;
pub(crate) mod exchange;
pub(crate) mod host;
pub(crate) mod ring;
pub(crate) mod segment;
#[cfg(test)]
mod tests;
