//! The report as text.

use comfy_table::{CellAlignment, Table, presets};

use crate::report::{Report, Row};

pub(crate) fn text(report: &Report) -> String {
    let setting = &report.setting;
    let (days, work) = (setting.days, setting.work.name());
    let mut text = format!(
        "{} hosts, days: {days}, machines whose vCPUs work {work}\n\n\
         What services need, beside the trace\n{}\n\n\
         The same machines: {:.2} vCPUs for each processor that services leave on average\n{}\n\
         If all hosts were one, utilisation would be {:.1} %: no policy beats that.\n\n\
         As many machines as are at speed for {:.2} % of the time\n{}\n",
        setting.hosts,
        fit(report),
        report.same[0].sold,
        rows(&report.same),
        report.pooled * 100.0,
        report.promise * 100.0,
        rows(&report.promised),
    );
    let bar = &report.bar;
    text += &format!(
        "Reallocation: {:+.1} % over static placement ({:.1} % asked for), {:+.1} % over live migration, \
         requests {}: bar {}\n",
        bar.over_static * 100.0,
        bar.asked * 100.0,
        bar.over_live_migration * 100.0,
        if bar.tail_is_no_worse {
            "no slower"
        } else {
            "slower"
        },
        if bar.reached {
            "reached"
        } else {
            "not reached"
        },
    );
    text
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

fn fit(report: &Report) -> Table {
    let mut table = table(&["", "published", "simulated"]);
    for fit in &report.fit {
        let [published, simulated] = [fit.published, fit.simulated].map(|of| format!("{of:.3}"));
        table.add_row([fit.figure.to_owned(), published, simulated]);
    }
    table
}

fn rows(rows: &[Row]) -> Table {
    let header = [
        "policy",
        "vCPUs sold",
        "utilisation",
        "gain",
        "at speed",
        "done",
        "apart",
        "moving",
        "moves/day",
        "TiB/day",
        "p99 ms",
        "p99.9 ms",
        "waiting",
        "late",
    ];
    let mut table = table(&header);
    for row in rows {
        let percent = |of: f64| format!("{:.2} %", of * 100.0);
        table.add_row([
            row.policy.to_owned(),
            format!("{:.3}", row.sold),
            percent(row.utilisation),
            format!("{:+.1} %", row.gain * 100.0),
            percent(row.at_speed),
            percent(row.done),
            percent(row.stalled),
            percent(row.waited),
            format!("{:.0}", row.moves_a_day),
            format!("{:.1}", row.tebibytes_a_day),
            format!("{:.2}", row.p99_ms),
            format!("{:.2}", row.p999_ms),
            format!("{:.3} %", row.waiting * 100.0),
            format!("{:.4} %", row.late * 100.0),
        ]);
    }
    table
}
