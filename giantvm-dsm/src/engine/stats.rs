//! What the engine counts.

use std::time::Duration;

use giantvm_core::stats::Latency;

use super::parcel::ParcelStats;
use crate::protocol::{Access, Departure, Rights};

/// How a fault was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Without a message: this node is the page's home and could decide alone, or the kernel had
    /// dropped a mapping that was still valid.
    Local,
    /// A load that another node had to answer.
    RemoteRead,
    /// A store to a page that was not here, which another node had to answer.
    RemoteWrite,
    /// A store to a page that was here for reading: other copies had to go, no data came.
    Upgrade,
}

impl FaultKind {
    /// All kinds, in the order of the counters.
    pub const ALL: [Self; 4] = [
        Self::Local,
        Self::RemoteRead,
        Self::RemoteWrite,
        Self::Upgrade,
    ];

    /// The kind of a fault that needed messages, by what was tried and what was mapped before.
    #[must_use]
    pub const fn remote(access: Access, before: Option<Rights>) -> Self {
        match (access, before) {
            (Access::Read, _) => Self::RemoteRead,
            (Access::Write, None) => Self::RemoteWrite,
            (Access::Write, Some(_)) => Self::Upgrade,
        }
    }

    /// The kind's name in tables and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::RemoteRead => "read",
            Self::RemoteWrite => "write",
            Self::Upgrade => "upgrade",
        }
    }
}

/// What a node with a [memory budget](super::DsmOptions::memory) did to keep to it. All zero without
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryStats {
    /// Pages that take memory now.
    pub resident: u64,
    /// Most pages that ever did.
    pub most_resident: u64,
    /// Copies given up whose bytes others have too.
    pub evictions_clean: u64,
    /// Copies given up whose bytes were sent home.
    pub evictions_dirty: u64,
    /// Mappings suspended, to see whether anyone uses the page.
    pub suspended: u64,
    /// Pages that stayed because someone did.
    pub second_chances: u64,
}

/// Counters and fault times of one node since its start.
///
/// A fault's time runs from when the pump reads it to when the waiting threads are woken.
#[derive(Debug, Clone, Default)]
pub struct DsmStats {
    faults: [u64; FaultKind::ALL.len()],
    /// Pages that came in as data.
    pub pages_received: u64,
    /// Pages that went out as data.
    pub pages_sent: u64,
    /// What those cost in bytes.
    pub parcels: ParcelStats,
    /// Loads that were taken for stores, as those before them were followed by one.
    pub guesses: u64,
    /// Pages that were asked for ahead of a thread: of one that walks, or that wants others near them.
    pub read_ahead: u64,
    /// How many of those the thread got to, as far as it faulted again behind them.
    pub read_ahead_used: u64,
    /// Pages that local threads wait for now.
    pub waiting: usize,
    /// Grants of a page full of zeroes, which moved no data.
    pub zero_grants: u64,
    /// Mappings taken away for other nodes.
    pub invalidations: u64,
    /// Rights to write taken away for other nodes.
    pub downgrades: u64,
    /// The memory that the pages take.
    pub memory: MemoryStats,
    /// How far this node's departure is.
    pub departure: Departure,
    /// Times of the faults that needed messages.
    pub remote_time: Latency,
}

impl DsmStats {
    /// How many faults of `kind` were answered.
    #[must_use]
    pub const fn faults(&self, kind: FaultKind) -> u64 {
        self.faults[kind as usize]
    }

    /// How many faults needed another node.
    #[must_use]
    pub fn faults_remote(&self) -> u64 {
        self.faults.iter().sum::<u64>() - self.faults(FaultKind::Local)
    }

    pub(super) fn count_fault(&mut self, kind: FaultKind, time: Duration) {
        self.faults[kind as usize] += 1;
        if kind != FaultKind::Local {
            self.remote_time.record(time);
        }
    }
}
