//! The figures for people.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use crate::measure::Report;

const FULL: &str = "\
Each node added to its word on every page and read it again, twice; then every node read every word.
  faults     answered by another node
  clean      copies given up whose bytes others had too
  dirty      copies given up whose bytes were sent home
  tried      copies whose mapping was suspended to see whether they are used
  spared     those of them that were
  MiB most   what the node's pages took at most so far, and what it gives";

const FITS: &str = "\
The slowest node's time, medians over the rounds; `ratio` is the median of the rounds' ratios. Without
pressure a budget counts pages and does nothing else.";

/// Both tables, and what they mean.
pub(crate) fn text(report: &Report) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let pages = |pages: u64| mib(pages * 4096);
    let mut full = table([
        "phase", "node", "ms", "faults", "clean", "dirty", "tried", "spared", "MiB most", "of",
    ]);
    let mut last = "";
    for row in &report.rows {
        let phase = if last == row.phase { "" } else { row.phase };
        last = row.phase;
        full.add_row([
            phase.to_owned(),
            format!("n{}", row.node),
            format!("{:.0}", row.milliseconds),
            row.faults_remote.to_string(),
            row.evictions_clean.to_string(),
            row.evictions_dirty.to_string(),
            row.suspended.to_string(),
            row.second_chances.to_string(),
            format!("{:.1}", pages(row.most_resident)),
            format!("{:.1}", pages(row.budget_pages)),
        ]);
    }
    let mut text = format!(
        "A working set of {:.1} MiB over {} nodes that give {:.1} MiB each, the last one twice that \
         ({}); every word was right\n{full}\n",
        mib(report.working_set_bytes),
        report.nodes,
        mib(report.budget_bytes),
        report.protocol,
    );
    if let Some(counted) = report.counted_bytes {
        writeln!(
            text,
            "The system counted {:.1} MiB of frames in all at most, of {:.1} MiB given.",
            mib(counted),
            mib(report.given_bytes)
        )
        .ok();
    }
    text += FULL;
    text.push('\n');
    if report.fitting.is_empty() {
        return text;
    }
    let mut fits = table([
        "phase",
        "rounds",
        "ms with",
        "ms without",
        "ratio",
        "evicted",
        "tried",
        "faults with",
        "faults without",
    ]);
    for row in &report.fitting {
        fits.add_row([
            row.phase.to_owned(),
            report.rounds.to_string(),
            format!("{:.1}", row.limited_ms),
            format!("{:.1}", row.unlimited_ms),
            format!("{:.2}", row.ratio),
            row.evictions.to_string(),
            row.suspended.to_string(),
            row.limited_faults.to_string(),
            row.unlimited_faults.to_string(),
        ]);
    }
    let set = mib(report.fitting_set_bytes);
    writeln!(
        text,
        "\nA working set of {set:.1} MiB, which fits, with the budget and without\n{fits}\n{FITS}"
    )
    .ok();
    text
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
