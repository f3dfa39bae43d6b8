//! Placement: which node runs which vCPU, homes which pages and hosts which device.
//!
//! A cluster file becomes a [`ClusterSpec`], a spec becomes a [`Placement`], and a placement tells
//! the guest's [`Topology`]. All nodes that read the same file come to the same placement, and
//! [`ClusterSpec::settings`] names what differs where they did not read the same.
//!
//! While a machine runs, [`schedule`] says what schedulers of threads are told and decide; [`das`] is
//! one that knows what threads wait for, [`fair`] a model of Linux' default, and [`trace`] records and
//! replays what they were told. [`dispatch`] lets vCPUs run what they decide. [`channel`] is how a guest
//! hears of its faults and tells of its threads.
//!
//! This crate reads no file, opens no socket and measures nothing: text goes in, values come out.
//!
//! ```
//! use giantvm_sched::{ClusterSpec, DeviceKind, Placement};
//!
//! let spec = ClusterSpec::parse(
//!     r#"
//!     [cluster]
//!     name = "lab"
//!     memory = "64M"
//!     vcpus = 3
//!
//!     [[node]]
//!     name = "a"
//!     address = "192.0.2.1:7000"
//!
//!     [[node]]
//!     name = "b"
//!     address = "192.0.2.2:7000"
//!     "#,
//!     "cluster.toml",
//! )?;
//! let placement = Placement::plan(&spec);
//! let counts: Vec<_> = spec.ids().map(|node| placement.vcpus_of(node).count()).collect();
//! assert_eq!(counts, [2, 1]);
//! assert_eq!(Some(placement.device_node(DeviceKind::Serial)), spec.node_named("a"));
//! # Ok::<(), giantvm_sched::ClusterError>(())
//! ```

mod address;
mod attached;
pub mod channel;
pub mod das;
mod device;
pub mod dispatch;
mod document;
mod error;
pub mod fair;
mod links;
mod local;
mod nodes;
mod parse;
mod placement;
pub mod precopy;
pub mod reallocate;
mod residency;
pub mod schedule;
mod settings;
mod size;
mod spec;
mod split;
#[cfg(feature = "testing")]
pub mod testing;
mod topology;
pub mod trace;

pub use address::{AddressError, NodeAddress};
pub use attached::{ConsoleSpec, DiskSpec, MAX_ATTACHED, NetSpec};
pub use device::DeviceKind;
pub use error::{ClusterError, Position, Problem};
pub use links::{Link, Links};
pub use placement::Placement;
pub use size::{Size, SizeError};
pub use spec::{ClusterSpec, DEFAULT_DEADLINE, MAX_FILE, MAX_MEMORY, MAX_NAME, NodeSpec};
pub use topology::{DistanceError, LOCAL_DISTANCE, NumaNode, REMOTE_DISTANCE, Topology};
