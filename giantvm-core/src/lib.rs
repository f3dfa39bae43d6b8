//! The vocabulary that every GiantVM crate speaks.
//!
//! Identifiers ([`NodeId`], [`VcpuId`], [`Epoch`], [`Version`]), logical time ([`Stamp`]), sets of
//! nodes ([`NodeSet`]), pages ([`PageSize`], [`PageIndex`]), widths of device accesses ([`AccessSize`]), interrupt
//! messages ([`Msi`]), addresses of network cards ([`Mac`]), the wire frame and its total, bounded codec ([`wire`]), and latency
//! statistics ([`stats`]).
//!
//! This crate does no I/O, reads no clock and starts no thread.
//!
//! ```
//! use giantvm_core::{NodeId, NodeSet};
//!
//! let nodes = NodeSet::from_iter([NodeId::new(0)?, NodeId::new(5)?]);
//! assert_eq!(nodes.len(), 2);
//! assert_eq!(nodes.to_string(), "{0,5}");
//! # Ok::<(), giantvm_core::IdError>(())
//! ```

mod access_size;
mod ids;
mod mac;
mod msi;
mod node_set;
mod page;
mod stamp;
pub mod stats;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wire;

pub use access_size::AccessSize;
pub use ids::{Epoch, IdError, NodeId, VcpuId, Version};
pub use mac::{Mac, MacError};
pub use msi::{DeliveryMode, LOWEST_VECTOR, Msi, MsiError, MsiTarget};
pub use node_set::NodeSet;
pub use page::{PageIndex, PageRange, PageSize, PageSizeError};
pub use stamp::Stamp;
pub use vm_memory::GuestAddress;

/// Most nodes one cluster can have. Sets of nodes are one machine word ([`NodeSet`]).
pub const MAX_NODES: usize = 64;

/// Most vCPUs one virtual machine can have.
///
/// The 8-bit xAPIC identifier space ends at 254 (255 is broadcast).
pub const MAX_VCPUS: usize = 254;
