//! The figures for people.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use crate::workloads::Workload;
use crate::{Comparison, measured};

const SIMULATED: &str = "\
Simulated: the real protocols on a virtual clock; every read was checked against the writes before
it. Messages take random times, about 10 us and now and then 100.
  faults     accesses that waited for another node; a protocol that lends copies again has more
  messages   all that were sent, refreshes and late answers included; `each` is per fault
  bytes      on the wire with headers, per fault; a page is 4096 of them
  pages      messages that carried a page
  hops       messages one after the other that an answer took, on average and at most
  us/fault   how long a fault waited on average, local ones included
  us/access  the same spread over all accesses: what the workload loses by waiting";

const MEASURED: &str = "\
Measured: page faults on real memory of three nodes in this process, joined by queues; times that a
thread sees, medians over the rounds. Compare them within this table only.";

/// Both tables, and what they mean.
pub(crate) fn text(comparison: &Comparison, workloads: &[Workload]) -> String {
    let mut text = format!("{}\n{SIMULATED}\n", simulated(comparison));
    for workload in workloads {
        writeln!(text, "  {:<14} {}", workload.name, workload.about).ok();
    }
    if !comparison.measured.is_empty() {
        writeln!(text, "\n{}\n{MEASURED}", measured(comparison)).ok();
        for (name, about) in measured::ABOUT {
            writeln!(text, "  {name:<14} {about}").ok();
        }
    }
    text
}

fn simulated(comparison: &Comparison) -> Table {
    let mut table = table([
        "workload",
        "protocol",
        "accesses",
        "faults",
        "messages",
        "each",
        "bytes",
        "pages",
        "hops",
        "most",
        "us/fault",
        "us/access",
        "",
    ]);
    let mut last = "";
    for row in &comparison.simulated {
        table.add_row([
            first_of_group(&mut last, row.workload),
            row.protocol.to_owned(),
            row.accesses.to_string(),
            row.remote_faults.to_string(),
            row.messages.to_string(),
            format!("{:.1}", row.messages_per_fault),
            format!("{:.0}", row.bytes_per_fault),
            row.pages_sent.to_string(),
            format!("{:.2}", row.hops_mean),
            row.hops_most.to_string(),
            format!("{:.0}", row.wait_us_per_fault),
            format!("{:.1}", row.wait_us_per_access),
            if row.verified { "ok" } else { "WRONG" }.to_owned(),
        ]);
    }
    table
}

fn measured(comparison: &Comparison) -> Table {
    let mut table = table(["fault", "protocol", "p50 us", "p99 us", "samples"]);
    let mut last = "";
    for time in &comparison.measured {
        table.add_row([
            first_of_group(&mut last, time.workload),
            time.protocol.to_owned(),
            format!("{:.0}", time.p50_us),
            format!("{:.0}", time.p99_us),
            time.samples.to_string(),
        ]);
    }
    table
}

/// The name of a group on its first line, nothing on the others.
fn first_of_group(last: &mut &'static str, name: &'static str) -> String {
    let first = *last != name;
    *last = name;
    if first { name } else { "" }.to_owned()
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(header);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
