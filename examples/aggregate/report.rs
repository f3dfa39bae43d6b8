//! What a run comes to: a table for people, JSON for machines.

use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

use crate::counts::Counts;
use crate::hot::HotSpot;
use crate::litmus::{self, LitmusReport};
use crate::scheduling::Summary;

/// What one node did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeReport {
    pub(crate) name: String,
    pub(crate) vcpus: usize,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    /// Interrupts that a vCPU or device here sent to a vCPU on another node.
    pub(crate) ipis_sent: u64,
    /// Device accesses by vCPUs here that another node's device answered.
    pub(crate) io_forwarded: u64,
    /// Accesses to ports and addresses where no device is.
    pub(crate) io_unclaimed: u64,
    /// How far this node's clock can be off the first node's, in microseconds; `None` on that one.
    pub(crate) clock_error_us: Option<f64>,
    /// How long the guest ran, in seconds.
    pub(crate) run_seconds: f64,
}

/// Whether one program's result was right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ProgramReport {
    pub(crate) name: String,
    pub(crate) verified: bool,
    /// How long it took in the guest, in microseconds; 0 if it failed.
    pub(crate) micros: u64,
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
    /// The pages that all nodes together used most towards the end, the hottest first.
    pub(crate) hottest: Vec<HotSpot>,
    /// What became of the guest's threads, if it had any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scheduling: Option<Summary>,
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
        let limited = self
            .nodes
            .iter()
            .any(|node| node.counts.most_resident_pages > 0);
        let memory = if limited {
            format!("\n{}", self.memory())
        } else {
            String::new()
        };
        let threads = self.scheduling.as_ref().map(Summary::to_text);
        let threads = threads.unwrap_or_default();
        let programs = match self.programs.is_empty() {
            true => "",
            false => "\nPrograms, checked by the guest and again by the host\n",
        };
        format!("{programs}{text}\n{}{memory}{threads}", self.table())
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
                mib(node.counts.resident_pages),
                mib(node.counts.most_resident_pages),
                node.counts.evictions_clean.to_string(),
                node.counts.evictions_dirty.to_string(),
                node.counts.second_chances.to_string(),
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
            let counts = &node.counts;
            let micros = |time: Option<f64>| time.map_or("-".into(), |us| format!("{us:.0}"));
            table.add_row([
                node.name.clone(),
                node.vcpus.to_string(),
                counts.faults_read.to_string(),
                counts.faults_write.to_string(),
                counts.faults_upgrade.to_string(),
                counts.faults_local.to_string(),
                counts.pages_sent.to_string(),
                format!("{:.1}", counts.bytes_sent as f64 / MIB),
                micros(counts.fault_p50_us),
                micros(counts.fault_p99_us),
                node.ipis_sent.to_string(),
                node.io_forwarded.to_string(),
                format!("{:.1}", counts.cpu_seconds),
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
