//! What each protocol costs on the simulated cluster.

use giantvm_dsm::testing::{Inspect, Report};
use serde::Serialize;

use crate::Candidate;
use crate::workloads::Workload;

/// What one protocol's run of one workload came to.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) workload: &'static str,
    pub(crate) protocol: &'static str,
    /// Whether all planned accesses were made. That each of them read the right word, and that no
    /// law was broken, the simulation has checked: it fails otherwise.
    pub(crate) verified: bool,
    pub(crate) planned: u64,
    pub(crate) accesses: u64,
    /// Accesses that had to wait for any reason.
    pub(crate) faults: u64,
    /// Those that had to wait for another node.
    pub(crate) remote_faults: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) pages_sent: u64,
    pub(crate) messages_per_fault: f64,
    pub(crate) bytes_per_fault: f64,
    pub(crate) hops_mean: f64,
    pub(crate) hops_most: u32,
    /// Microseconds of the virtual clock.
    pub(crate) wait_us_per_fault: f64,
    pub(crate) wait_us_per_access: f64,
}

/// Runs a workload once.
pub(crate) fn run<P: Inspect>(workload: &Workload) -> anyhow::Result<Report> {
    Ok(workload.scenario.check::<P>()?)
}

/// Every workload with every protocol.
pub(crate) fn rows(workloads: &[Workload], protocols: &[Candidate]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for workload in workloads {
        for protocol in protocols {
            rows.push(row(
                workload,
                protocol.name,
                &(protocol.simulate)(workload)?,
            ));
        }
    }
    Ok(rows)
}

fn row(workload: &Workload, protocol: &'static str, report: &Report) -> Row {
    let per = |sum: u64, count: u64| sum as f64 / count.max(1) as f64;
    let remote = report.remote_faults;
    let planned = workload.planned();
    Row {
        workload: workload.name,
        protocol,
        verified: report.accesses == planned,
        planned,
        accesses: report.accesses,
        faults: report.faults,
        remote_faults: remote,
        messages: report.messages,
        bytes: report.bytes,
        pages_sent: report.pages_sent,
        messages_per_fault: per(report.messages, remote),
        bytes_per_fault: per(report.bytes, remote),
        hops_mean: per(report.hops, remote),
        hops_most: report.most_hops,
        wait_us_per_fault: per(report.waited, report.faults) / 1e3,
        wait_us_per_access: per(report.waited, report.accesses) / 1e3,
    }
}
