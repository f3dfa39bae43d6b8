//! The report as a picture.

use giantvm_examples::chart::{Bars, Chart, sheet};

use crate::report::{Report, Row, Way};

pub(crate) fn draw(report: &Report) -> anyhow::Result<String> {
    let about = [
        format!(
            "A machine of {} MiB, {} MiB of them not zero, over {:?}, protocol {}; medians of {}",
            report.size.bytes() >> 20,
            report.used_mebibytes,
            report.link,
            report.protocol,
            report.rounds,
        ),
        format!("{:.1} % of bytes saved on average", report.saved[2] * 100.0),
    ];
    let full = |way: &Way| way.full_ms.unwrap_or(f64::NAN);
    let charts = [
        bars("There: MiB on the wire", "MiB", report, 0, |way| {
            way.mebibytes
        }),
        bars("Back: MiB on the wire", "MiB", report, 1, |way| {
            way.mebibytes
        }),
        bars(
            "There: milliseconds until full speed",
            "ms",
            report,
            0,
            full,
        ),
        bars("Back: milliseconds until full speed", "ms", report, 1, full),
    ];
    sheet(
        "Moving the work, and moving its machine",
        &about,
        &charts.map(Chart::Bars),
    )
}

fn bars(
    caption: &str,
    y: &'static str,
    report: &Report,
    leg: usize,
    of: impl Fn(&Way) -> f64,
) -> Bars {
    let values = |ways: fn(&Row) -> &[Way; 2]| {
        let rows = report.rows.iter().map(|row| of(&ways(row)[leg]));
        rows.collect::<Vec<_>>()
    };
    Bars {
        caption: caption.to_owned(),
        y,
        groups: report
            .rows
            .iter()
            .map(|row| row.work.name().to_owned())
            .collect(),
        series: vec![
            (
                "the thread moves, pages follow".to_owned(),
                values(|row| &row.movement),
            ),
            ("pre-copy".to_owned(), values(|row| &row.precopy)),
        ],
    }
}
