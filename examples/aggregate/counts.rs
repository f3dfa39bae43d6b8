//! What one node counted so far: told while it runs, and in its report.

use std::time::Duration;

use giantvm_core::PageSize;
use giantvm_dsm::engine::{Dsm, DsmStats, FaultKind};
use giantvm_transport::Traffic;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::hot::HotPage;

/// Pages that a node tells of: more than are shown, so that few users of those are missed.
const HOTTEST: usize = 64;

/// Counters of one node since its start, and its pages of late.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) faults_remote: u64,
    pub(crate) faults_local: u64,
    pub(crate) faults_read: u64,
    pub(crate) faults_write: u64,
    pub(crate) faults_upgrade: u64,
    pub(crate) fault_p50_us: Option<f64>,
    pub(crate) fault_p99_us: Option<f64>,
    pub(crate) zero_grants: u64,
    pub(crate) pages_sent: u64,
    pub(crate) pages_received: u64,
    pub(crate) invalidations: u64,
    pub(crate) downgrades: u64,
    /// Pages that take memory now, and the most that did; zero without a limit, as are the three that
    /// follow.
    pub(crate) resident_pages: u64,
    pub(crate) most_resident_pages: u64,
    /// Copies that were given up for want of memory: others had the bytes, or they were sent home.
    pub(crate) evictions_clean: u64,
    pub(crate) evictions_dirty: u64,
    /// Copies that stayed because they were used on probation.
    pub(crate) second_chances: u64,
    /// Loads that were taken for stores.
    pub(crate) guesses: u64,
    /// Pages that were asked for ahead of a thread, and those of them that it got to.
    pub(crate) read_ahead: u64,
    pub(crate) read_ahead_used: u64,
    /// Pages that threads wait for at this moment.
    pub(crate) waiting: usize,
    pub(crate) frames_sent: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    /// Processor time that this node's process used, in seconds. In one process for all nodes it is the
    /// process' whole time.
    pub(crate) cpu_seconds: f64,
    /// The hottest pages, the hottest first.
    pub(crate) hottest: Vec<HotPage>,
}

impl Counts {
    /// As they are now.
    pub(crate) fn of(dsm: &Dsm, traffic: Traffic, size: PageSize) -> Self {
        let pages = dsm.heat(HOTTEST).into_iter();
        let used = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            cpu_seconds: used.tv_sec as f64 + used.tv_nsec as f64 / 1e9,
            hottest: pages.filter_map(|page| HotPage::new(&page, size)).collect(),
            ..Self::of_memory(&dsm.stats(), traffic)
        }
    }

    fn of_memory(dsm: &DsmStats, traffic: Traffic) -> Self {
        let micros = |q| {
            dsm.remote_time
                .quantile(q)
                .map(|t: Duration| t.as_secs_f64() * 1e6)
        };
        Self {
            faults_remote: dsm.faults_remote(),
            faults_local: dsm.faults(FaultKind::Local),
            faults_read: dsm.faults(FaultKind::RemoteRead),
            faults_write: dsm.faults(FaultKind::RemoteWrite),
            faults_upgrade: dsm.faults(FaultKind::Upgrade),
            fault_p50_us: micros(0.5),
            fault_p99_us: micros(0.99),
            zero_grants: dsm.zero_grants,
            pages_sent: dsm.pages_sent,
            pages_received: dsm.pages_received,
            invalidations: dsm.invalidations,
            downgrades: dsm.downgrades,
            resident_pages: dsm.memory.resident,
            most_resident_pages: dsm.memory.most_resident,
            evictions_clean: dsm.memory.evictions_clean,
            evictions_dirty: dsm.memory.evictions_dirty,
            second_chances: dsm.memory.second_chances,
            guesses: dsm.guesses,
            read_ahead: dsm.read_ahead,
            read_ahead_used: dsm.read_ahead_used,
            waiting: dsm.waiting,
            frames_sent: traffic.frames_sent,
            bytes_sent: traffic.bytes_sent,
            bytes_received: traffic.bytes_received,
            cpu_seconds: 0.0,
            hottest: Vec::new(),
        }
    }
}
