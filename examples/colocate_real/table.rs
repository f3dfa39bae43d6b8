//! The report as text.

use comfy_table::{CellAlignment, Table, presets};
use giantvm_examples::spread::Spread;

use crate::report::{Report, Row};

pub(crate) fn text(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header([
        "placement",
        "steps",
        "machine 1",
        "machine 2",
        "done of what was asked for",
        "over static",
        "moves",
        "MiB on the link",
        "quota used",
        "of it useful",
        "stood still ms",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    report.rows.iter().for_each(|row| {
        table.add_row(cells(row));
    });
    let [first, second] = &report.changes;
    format!(
        "{}\n\
         Two machines of {} MiB over {:?}, protocol {}; each of two vCPUs is asked for {:.0} {} steps a \
         second, {} % of a processor\n\
         {} s, seed {}, {}; medians, and in brackets the least and the most, of {}\n\
         What was left of host 1 in the last round: {first}\n\
         What was left of host 2 in the last round: {second}\n{table}\n\
         Where nothing moves, {} of the steps could be done at best; if both hosts were one, {}, \
         which is {} more: no placement beats that.\n",
        report.how(),
        report.memory_mebibytes,
        report.link,
        report.protocol,
        report.steps_per_second,
        report.load.name(),
        report.wants_percent,
        report.seconds,
        report.seed,
        report.tenants.text(),
        report.rounds,
        percent(report.apart),
        percent(report.pooled),
        percent(report.at_best),
    )
}

fn cells(row: &Row) -> Vec<String> {
    let [first, second] = row.steps_by_machine.map(count);
    vec![
        row.placement.name().to_owned(),
        count(row.steps),
        first,
        second,
        percent(row.done),
        format!(
            "{:+.1} % ({:+.1}..{:+.1})",
            row.gain.median * 100.0,
            row.gain.low * 100.0,
            row.gain.high * 100.0
        ),
        count(row.moves),
        count(row.mebibytes),
        percent(row.used),
        percent(row.useful),
        count(row.still_ms),
    ]
}

fn count(of: Spread) -> String {
    format!("{:.0} ({:.0}..{:.0})", of.median, of.low, of.high)
}

fn percent(of: Spread) -> String {
    let [median, low, high] = [of.median, of.low, of.high].map(|of| of * 100.0);
    format!("{median:.1} % ({low:.1}..{high:.1})")
}
