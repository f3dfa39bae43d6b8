//! Joining and losing nodes over TCP on loopback.

mod bad_links;
mod join;
mod raw_peer;
