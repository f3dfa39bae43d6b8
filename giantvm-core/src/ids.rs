//! Identifiers that cannot be mixed up with one another or with plain integers.

use std::fmt;

use crate::{MAX_NODES, MAX_VCPUS};

/// An identifier was out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The node number is not below [`MAX_NODES`].
    #[error("node {0} is out of range: a cluster has at most {MAX_NODES} nodes, counted from 0")]
    Node(u64),
    /// The vCPU number is not below [`MAX_VCPUS`].
    #[error("vCPU {0} is out of range: a machine has at most {MAX_VCPUS} vCPUs, counted from 0")]
    Vcpu(u64),
}

/// An identifier that is a small number below a limit.
macro_rules! identifier {
    (
        $(#[$doc:meta])* $name:ident, below $limit:ident, error $error:ident,
        first $first:ident: $first_doc:literal
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u8);

        impl $name {
            #[doc = $first_doc]
            pub const $first: Self = Self(0);

            /// The one with number `index`.
            ///
            /// # Errors
            #[doc = concat!("[`IdError::", stringify!($error), "`] if `index` is not below [`",
                stringify!($limit), "`].")]
            pub const fn new(index: u8) -> Result<Self, IdError> {
                if (index as usize) < $limit {
                    Ok(Self(index))
                } else {
                    Err(IdError::$error(index as u64))
                }
            }

            /// Its number.
            #[must_use]
            pub const fn get(self) -> u8 {
                self.0
            }

            /// Its number as an index into a table.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The first `count` in order, or all of them if `count` is above the limit.
            pub fn first(count: usize) -> impl DoubleEndedIterator<Item = Self> + Clone {
                (0..u8::MAX).take(count.min($limit)).map(Self)
            }
        }

        impl TryFrom<usize> for $name {
            type Error = IdError;

            fn try_from(index: usize) -> Result<Self, IdError> {
                u8::try_from(index)
                    .map_err(|_| IdError::$error(index as u64))
                    .and_then(Self::new)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

identifier! {
    /// A node of the cluster: one process that gives vCPUs, memory or devices to the machine.
    ///
    /// Always below [`MAX_NODES`].
    NodeId, below MAX_NODES, error Node, first ZERO: "The first node."
}

identifier! {
    /// A virtual CPU of the machine, numbered across all nodes. Its (x2)APIC ID is the same number.
    ///
    /// Always below [`MAX_VCPUS`].
    VcpuId, below MAX_VCPUS, error Vcpu, first BOOT: "The vCPU that boots the machine."
}

/// The membership epoch of the cluster. A frame of another epoch changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch that a freshly joined cluster starts in.
    pub const FIRST: Self = Self(1);
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The version of a page's contents: one more for every grant of write ownership.
///
/// 56 bits on every table and on the wire, so that at a million grants a second one page takes
/// 2,283 years to wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(u64);

impl Version {
    /// The version of a page that no one has written.
    pub const ZERO: Self = Self(0);
    /// The largest version a table can hold.
    pub const MAX: Self = Self((1 << 56) - 1);

    /// A version from its number; `None` above [`Version::MAX`].
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number <= Self::MAX.0 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The version's number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version of the next write grant; `None` once the numbers are used up.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_numbers_end_at_the_limit() {
        assert_eq!(NodeId::new(63).map(NodeId::get), Ok(63));
        assert_eq!(NodeId::new(64), Err(IdError::Node(64)));
        assert_eq!(NodeId::try_from(300_usize), Err(IdError::Node(300)));
        assert_eq!(NodeId::first(1000).count(), MAX_NODES);
    }

    #[test]
    fn vcpu_numbers_leave_the_broadcast_apic_id_free() {
        assert_eq!(VcpuId::new(253).map(VcpuId::get), Ok(253));
        assert_eq!(VcpuId::new(254), Err(IdError::Vcpu(254)));
    }

    #[test]
    fn versions_stop_rather_than_wrap() {
        assert_eq!(Version::MAX.next(), None);
        assert_eq!(Version::ZERO.next().map(Version::get), Some(1));
    }
}
