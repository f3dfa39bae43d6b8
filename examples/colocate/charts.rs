//! The report as a picture.

use giantvm_examples::chart::{Bars, COLOURS, Chart, Line, Names, Panel, Scale, sheet};

use crate::report::{Report, Row};

pub(crate) fn draw(report: &Report) -> anyhow::Result<String> {
    let setting = &report.setting;
    let about = [
        format!(
            "{} hosts, simulated days: {}, first seed {}, machines whose vCPUs work {}",
            setting.hosts,
            setting.days,
            setting.seed,
            setting.work.name(),
        ),
        format!(
            "Machines are at speed for {:.2} % of the time; services as in Alibaba's trace of 2018",
            report.promise * 100.0
        ),
    ];
    let charts = [
        Chart::Bars(bars("Utilisation at that promise, %", "%", report, |row| {
            row.utilisation * 100.0
        })),
        Chart::Lines(day(report)),
        Chart::Lines(curve(report)),
        Chart::Bars(bars("Bytes moved in a day, TiB", "TiB", report, |row| {
            row.tebibytes_a_day
        })),
    ];
    sheet("What moving vCPUs brings on shared hosts", &about, &charts)
}

fn bars(caption: &str, y: &'static str, report: &Report, of: fn(&Row) -> f64) -> Bars {
    let values = |rows: &[Row]| rows.iter().map(of).collect();
    Bars {
        caption: caption.to_owned(),
        y,
        groups: report
            .promised
            .iter()
            .map(|row| row.policy.to_owned())
            .collect(),
        series: vec![
            (
                "as many machines as keep the promise".to_owned(),
                values(&report.promised),
            ),
            ("the same machines".to_owned(), values(&report.same)),
        ],
    }
}

fn lines(report: &Report, points: impl Fn(usize) -> Vec<(f64, f64)>) -> Vec<Line> {
    let rows = report.promised.iter().enumerate().zip(COLOURS);
    let line = |((at, row), colour): ((usize, &Row), _)| Line {
        name: row.policy.to_owned(),
        colour,
        floor: false,
        points: points(at),
    };
    rows.map(line).collect()
}

fn day(report: &Report) -> Panel {
    let hours = |at: usize| {
        let of = report.promised[at].hours.iter().enumerate();
        of.map(|(hour, share)| (hour as f64, share * 100.0))
            .collect()
    };
    Panel {
        caption: "The first day at that promise".to_owned(),
        x: "hour",
        y: "utilisation, %",
        scale: Scale::Count(&[0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0]),
        names: Names::LowerLeft,
        lines: lines(report, hours),
    }
}

fn curve(report: &Report) -> Panel {
    let points = |at: usize| {
        let of = report.curves[at].iter();
        of.map(|point| (point.sold * 100.0, (1.0 - point.at_speed) * 100.0))
            .collect()
    };
    Panel {
        caption: "Machines that are too slow, by how many there are".to_owned(),
        x: "vCPUs for a hundred processors that services leave",
        y: "% of their time",
        scale: Scale::Count(&[0.0, 20.0, 40.0, 60.0, 80.0, 100.0]),
        names: Names::UpperLeft,
        lines: lines(report, points),
    }
}
