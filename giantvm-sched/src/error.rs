//! What can be wrong with a cluster, where, and how to mend it.

use std::fmt;

use giantvm_core::{MAX_NODES, MAX_VCPUS, MacError, PageSizeError};

use crate::attached::{MAX_ATTACHED, MAX_PATH, MAX_TAP};
use crate::links::MAX_ROUND_TRIP;
use crate::spec::{MAX_FILE, MAX_MEMORY, MAX_NAME};
use crate::{AddressError, Size, SizeError};

/// A place in a cluster file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file's name as it was given.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A cluster that cannot be: what is wrong with which key, and where it is written.
///
/// Prints as one line that ends with a way to mend it:
///
/// ```
/// use giantvm_sched::ClusterSpec;
///
/// let error = ClusterSpec::parse("[cluster]\nname = \"lab\"\nmemory = \"1Q\"", "lab.toml");
/// assert_eq!(
///     error.unwrap_err().to_string(),
///     "lab.toml:3:10: cluster.memory: \"1Q\" is not a size: write digits and a suffix, \
///      as in \"256M\", \"1G\" or \"4K\""
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterError {
    /// Where it is written; `None` for a cluster that comes from no file.
    pub position: Option<Position>,
    /// The key, as in `cluster.memory` or ``node `b`.vcpus``; empty where the text is no TOML.
    pub key: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for ClusterError {}

/// What is wrong with a key of a cluster, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file is longer than any cluster needs.
    #[error("{0} bytes are more than a cluster file may have: keep it under {MAX_FILE}")]
    FileTooLong(usize),
    /// The text is not TOML.
    #[error("not valid TOML: {0}; correct the line")]
    Syntax(String),
    /// The key means nothing here.
    #[error("unknown key: remove it, or write one of {}", .0.join(", "))]
    UnknownKey(&'static [&'static str]),
    /// The key is needed.
    #[error("missing: add {0}")]
    Missing(&'static str),
    /// The value has another type.
    #[error("is a TOML {got}: write {expected}")]
    WrongType {
        /// What to write.
        expected: &'static str,
        /// The type of the value.
        got: &'static str,
    },
    /// An amount of memory was not understood.
    #[error("{text:?} {error}")]
    Size {
        /// What is written.
        text: String,
        /// What is wrong with it.
        error: SizeError,
    },
    /// An address was not understood.
    #[error("{text:?} {error}")]
    Address {
        /// What is written.
        text: String,
        /// What is wrong with it.
        error: AddressError,
    },
    /// Pages cannot have this size.
    #[error("{0}; leave the key out for 4K")]
    PageSize(#[from] PageSizeError),
    /// A name that is too long or has other characters.
    #[error("{0:?} is no name: use 1 to {MAX_NAME} of a-z, 0-9 and -, without - at the ends")]
    Name(String),
    /// Another node has this value.
    #[error("{value:?} is taken by node `{by}`: give each node its own")]
    Duplicate {
        /// The value.
        value: String,
        /// The name of the node that has it.
        by: String,
    },
    /// No nodes, or too many.
    #[error("a cluster of {0} nodes cannot be: give it 1 to {MAX_NODES}")]
    NodeCount(usize),
    /// No vCPUs, or too many.
    #[error("{0} vCPUs cannot be: a machine has 1 to {MAX_VCPUS}")]
    VcpuCount(u64),
    /// Neither a total nor every node's own number of vCPUs is given.
    #[error("missing: add it, as node `{0}` does not say how many vCPUs it runs")]
    VcpuTotal(String),
    /// No memory, or too much.
    #[error("{} of memory cannot be: a machine has 1 page to {}", Size(*.0), Size(MAX_MEMORY))]
    MemorySize(u64),
    /// An amount that is no whole number of pages.
    #[error("{} is not a multiple of the page size: make it a multiple of {}", Size(*.bytes), Size(*.page))]
    PartialPage {
        /// The amount in bytes.
        bytes: u64,
        /// The page size in bytes.
        page: u64,
    },
    /// The nodes have another number of vCPUs than the cluster.
    #[error("the nodes have {got} of {total} vCPUs: change the nodes' vcpus or cluster.vcpus")]
    VcpuSum {
        /// vCPUs of the nodes that say how many they have.
        got: u64,
        /// vCPUs of the cluster.
        total: u64,
    },
    /// The nodes home another amount of memory than the cluster has.
    #[error(
        "the nodes home {} of {}: change the nodes' memory or cluster.memory",
        Size(*.got), Size(*.total)
    )]
    MemorySum {
        /// Bytes of the nodes that say how much they home.
        got: u64,
        /// Bytes of the cluster.
        total: u64,
    },
    /// No device has this name.
    #[error("{0:?} is no device: write serial, power, scratch, clock or rng")]
    UnknownDevice(String),
    /// The device is placed twice.
    #[error("device {0:?} is placed already: remove one of its sections")]
    DuplicateDevice(&'static str),
    /// No node has this name.
    #[error("no node is named {name:?}: write one of {known}")]
    UnknownNode {
        /// The name.
        name: String,
        /// The names of the nodes.
        known: String,
    },
    /// More disks, network cards or consoles than a machine can have.
    #[error("there are {0} of them already: a machine has at most {MAX_ATTACHED}")]
    TooMany(usize),
    /// A file name that cannot be one.
    #[error("{0:?} is no file: write its name, of at most {MAX_PATH} bytes on one line")]
    Path(String),
    /// A network interface's name that cannot be one.
    #[error("{0:?} is no interface: use 1 to {MAX_TAP} of A-Z, a-z, 0-9, -, _ and .")]
    Tap(String),
    /// A network card's address that is none.
    #[error("{text:?} {error}")]
    Mac {
        /// What is written.
        text: String,
        /// What is wrong with it.
        error: MacError,
    },
    /// Another disk, card or console has this, which only one can have.
    #[error("{0:?} is in use by another section: give each its own")]
    InUse(String),
    /// A link of a node to itself.
    #[error("node {0:?} needs no link to itself: name two nodes")]
    OwnLink(String),
    /// A round trip that is too short or too long.
    #[error("{0} us are no round trip: write 1 to {MAX_ROUND_TRIP}")]
    RoundTrip(u64),
    /// A link that carries nothing.
    #[error("a link that carries nothing is none: write bytes a second, as in \"1G\"")]
    Bandwidth,
    /// A time to wait that is too short or too long.
    #[error("{0} seconds cannot be waited for: write 1 to 86400")]
    Deadline(u64),
}
