//! What a run came to.

use giantvm_core::NodeId;

use crate::protocol::{Tick, Violation};

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Events that happened.
    pub steps: u64,
    /// Accesses that threads completed.
    pub accesses: u64,
    /// Those of them that were writes.
    pub writes: u64,
    /// The value that the last access read or wrote.
    pub last: Option<u64>,
    /// Faults: accesses that had to wait, repeated ones included.
    pub faults: u64,
    /// Faults that were answered after at least one message.
    pub remote_faults: u64,
    /// Messages that led to those answers, one after the other, all together.
    pub hops: u64,
    /// The most that led to one of them.
    pub most_hops: u32,
    /// Nanoseconds of the virtual clock that threads waited, all together.
    pub waited: u64,
    /// Messages sent.
    pub messages: u64,
    /// Those of them that carried a page.
    pub pages_sent: u64,
    /// Bytes that the messages take on the wire.
    pub bytes: u64,
    /// Messages that came once more, after a link was made anew, and were dropped.
    pub repeated: u64,
    /// Copies that nodes gave up for want of memory.
    pub evictions: u64,
    /// Copies that they kept because threads used them on probation.
    pub second_chances: u64,
    /// Nodes that began to leave.
    pub departures: u64,
    /// Messages refused, and by whom. Without a hostile node, a refusal is a failure.
    pub violations: Vec<(NodeId, Violation)>,
    /// The virtual time at the end.
    pub end: Tick,
}
