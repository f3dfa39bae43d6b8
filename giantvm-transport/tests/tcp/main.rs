//! Joining and losing nodes over TCP on loopback.

mod bad_links;
mod join;
mod pipes;
mod raw_peer;
