//! The report as text.

use comfy_table::{CellAlignment, Table, presets};

use crate::report::{Report, Row, Way};

pub(crate) fn text(report: &Report) -> String {
    let mut bytes = table(&[
        "workload",
        "moved there",
        "back",
        "pre-copy there",
        "back",
        "saved there",
        "back",
        "both",
    ]);
    let mut times = table(&[
        "workload",
        "step ms",
        "full speed there",
        "back",
        "pre-copy there",
        "back",
        "lost there",
        "back",
        "pre-copy there",
        "back",
        "stands still",
        "rounds",
    ]);
    for row in &report.rows {
        bytes.add_row(bytes_of(row));
        times.add_row(times_of(row));
    }
    let percent = |of: f64| format!("{:.1} %", of * 100.0);
    let [there, back, both] = report.saved.map(percent);
    bytes.add_row(["mean", "", "", "", "", &there, &back, &both]);
    format!(
        "A machine of {} MiB, {} MiB of them not zero; over {:?}, protocol {}; medians of {}\n\n\
         MiB on the wire\n{bytes}\n\n\
         Milliseconds from the decision until the work is at full speed on the other node, and lost\n\
         {times}\n\
         Saved on average: {both} ({:.0} % asked for): bar {}\n",
        report.size.bytes() >> 20,
        report.used_mebibytes,
        report.link,
        report.protocol,
        report.rounds,
        report.asked * 100.0,
        if report.reached {
            "reached"
        } else {
            "not reached"
        },
    )
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn bytes_of(row: &Row) -> Vec<String> {
    let mebibytes = row
        .movement
        .iter()
        .chain(&row.precopy)
        .map(|way| way.mebibytes);
    let saved = row
        .saved
        .iter()
        .map(|saved| format!("{:.1} %", saved * 100.0));
    let name = [row.work.name().to_owned()];
    let mebibytes = mebibytes.map(|of| format!("{of:.2}"));
    name.into_iter().chain(mebibytes).chain(saved).collect()
}

fn times_of(row: &Row) -> Vec<String> {
    let ways = || row.movement.iter().chain(&row.precopy);
    let full = |way: &Way| {
        way.full_ms
            .map_or("never".to_owned(), |of| format!("{of:.0}"))
    };
    let lost = |way: &Way| format!("{:.0}", way.lost_ms);
    let [there, back] = row.precopy;
    let head = [row.work.name().to_owned(), format!("{:.2}", row.step_ms[0])];
    let tail = [
        format!("{:.0}, {:.0}", there.downtime_ms, back.downtime_ms),
        format!("{}, {}", there.rounds, back.rounds),
    ];
    let cells = head
        .into_iter()
        .chain(ways().map(full))
        .chain(ways().map(lost));
    cells.chain(tail).collect()
}
