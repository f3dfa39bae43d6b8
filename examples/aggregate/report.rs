//! What a run comes to: a table for people, JSON for machines.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use giantvm_dsm::engine::{DsmStats, FaultKind};
use giantvm_transport::Traffic;
use serde::{Deserialize, Serialize};

use crate::litmus::{self, LitmusReport};

/// What one node did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeReport {
    pub(crate) name: String,
    pub(crate) vcpus: usize,
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
    /// Pages that take memory at the end, and the most that did; zero without a limit, as are the
    /// three that follow.
    pub(crate) resident_pages: u64,
    pub(crate) most_resident_pages: u64,
    /// Copies that were given up for want of memory: others had the bytes, or they were sent home.
    pub(crate) evictions_clean: u64,
    pub(crate) evictions_dirty: u64,
    /// Copies that stayed because they were used on probation.
    pub(crate) second_chances: u64,
    pub(crate) frames_sent: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    /// Interrupts that a vCPU or device here sent to a vCPU on another node.
    pub(crate) ipis_sent: u64,
    /// Device accesses by vCPUs here that another node's device answered.
    pub(crate) io_forwarded: u64,
    /// Accesses to ports and addresses where no device is.
    pub(crate) io_unclaimed: u64,
    /// How far this node's clock can be off the first node's, in microseconds; `None` on that one.
    pub(crate) clock_error_us: Option<f64>,
    /// Processor time that this node's process used, in seconds. In one process for all nodes it
    /// is the process' whole time.
    pub(crate) cpu_seconds: f64,
    /// How long the guest ran, in seconds.
    pub(crate) run_seconds: f64,
}

impl NodeReport {
    pub(crate) fn count_memory(mut self, dsm: &DsmStats) -> Self {
        let micros = |q| {
            dsm.remote_time
                .quantile(q)
                .map(|t: Duration| t.as_secs_f64() * 1e6)
        };
        self.faults_remote = dsm.faults_remote();
        self.faults_local = dsm.faults(FaultKind::Local);
        self.faults_read = dsm.faults(FaultKind::RemoteRead);
        self.faults_write = dsm.faults(FaultKind::RemoteWrite);
        self.faults_upgrade = dsm.faults(FaultKind::Upgrade);
        self.fault_p50_us = micros(0.5);
        self.fault_p99_us = micros(0.99);
        self.zero_grants = dsm.zero_grants;
        self.pages_sent = dsm.pages_sent;
        self.pages_received = dsm.pages_received;
        self.invalidations = dsm.invalidations;
        self.downgrades = dsm.downgrades;
        self.resident_pages = dsm.memory.resident;
        self.most_resident_pages = dsm.memory.most_resident;
        self.evictions_clean = dsm.memory.evictions_clean;
        self.evictions_dirty = dsm.memory.evictions_dirty;
        self.second_chances = dsm.memory.second_chances;
        self
    }

    pub(crate) fn count_traffic(mut self, traffic: Traffic) -> Self {
        self.frames_sent = traffic.frames_sent;
        self.bytes_sent = traffic.bytes_sent;
        self.bytes_received = traffic.bytes_received;
        self
    }
}

/// Whether one program's result was right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ProgramReport {
    pub(crate) name: String,
    pub(crate) verified: bool,
    /// What was checked, or what was wrong.
    pub(crate) detail: String,
    /// What every litmus test ended in; empty for other programs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) litmus: Vec<LitmusReport>,
}

/// What the whole run comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RunReport {
    pub(crate) verified: bool,
    /// How the machine ended, in words.
    pub(crate) outcome: String,
    pub(crate) transport: String,
    pub(crate) protocol: String,
    pub(crate) vcpu_host: String,
    pub(crate) memory_bytes: u64,
    pub(crate) page_bytes: usize,
    pub(crate) programs: Vec<ProgramReport>,
    pub(crate) nodes: Vec<NodeReport>,
}

impl RunReport {
    /// The programs, one line each, and the nodes as a table.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for program in &self.programs {
            let mark = if program.verified { "ok   " } else { "WRONG" };
            text += &format!("  {mark} {:<8} {}\n", program.name, program.detail);
        }
        for program in self.programs.iter().filter(|p| !p.litmus.is_empty()) {
            text += &format!("\n{}\n", litmus::table(&program.litmus));
        }
        let limited = self.nodes.iter().any(|node| node.most_resident_pages > 0);
        let memory = if limited {
            format!("\n{}", self.memory())
        } else {
            String::new()
        };
        format!(
            "\nPrograms, checked by the guest and again by the host\n{text}\n{}{memory}",
            self.table()
        )
    }

    /// What nodes with little memory did to keep to it.
    fn memory(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header([
            "node",
            "MiB now",
            "MiB at most",
            "evicted clean",
            "evicted dirty",
            "second chances",
        ]);
        let mib = |pages: u64| format!("{:.1}", pages as f64 * self.page_bytes as f64 / MIB);
        for node in &self.nodes {
            table.add_row([
                node.name.clone(),
                mib(node.resident_pages),
                mib(node.most_resident_pages),
                node.evictions_clean.to_string(),
                node.evictions_dirty.to_string(),
                node.second_chances.to_string(),
            ]);
        }
        align(&mut table);
        table
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header([
            "node",
            "vCPUs",
            "read",
            "write",
            "upgrade",
            "local",
            "pages out",
            "MiB out",
            "p50 us",
            "p99 us",
            "IPIs out",
            "I/O fwd",
            "cpu s",
        ]);
        for node in &self.nodes {
            let micros = |time: Option<f64>| time.map_or("-".into(), |us| format!("{us:.0}"));
            table.add_row([
                node.name.clone(),
                node.vcpus.to_string(),
                node.faults_read.to_string(),
                node.faults_write.to_string(),
                node.faults_upgrade.to_string(),
                node.faults_local.to_string(),
                node.pages_sent.to_string(),
                format!("{:.1}", node.bytes_sent as f64 / MIB),
                micros(node.fault_p50_us),
                micros(node.fault_p99_us),
                node.ipis_sent.to_string(),
                node.io_forwarded.to_string(),
                format!("{:.1}", node.cpu_seconds),
            ]);
        }
        align(&mut table);
        table
    }
}

const MIB: f64 = (1 << 20) as f64;

/// Figures to the right.
fn align(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
