//! Where a node keeps its pages, and how access to them is granted and taken.

mod api;

pub use api::{Backing, BackingError, Fault};
