//! The report as a picture.

use giantvm_examples::chart::{Bars, COLOURS, Chart, Line, Names, Panel, Scale, sheet};
use giantvm_examples::spread::Spread;

use crate::report::{Report, Row};
use crate::schedule::SLOT;

/// Marks of time.
const SECONDS: &[f64] = &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0];

/// A part of a spread, and its name.
type Part = (&'static str, fn(Spread) -> f64);

pub(crate) fn draw(report: &Report) -> anyhow::Result<String> {
    let about = [
        format!(
            "Two machines of {} MiB, {} work, {:.0} s, seed {}, over {:?}; medians of {}",
            report.memory_mebibytes,
            report.load.name(),
            report.seconds,
            report.seed,
            report.link,
            report.rounds,
        ),
        report.how(),
    ];
    let charts = [
        Chart::Bars(bars(
            report,
            "Steps done of those asked for, %",
            "%",
            &[
                ("least", |of| of.low),
                ("median", |of| of.median),
                ("most", |of| of.high),
            ],
            |row| row.done,
            100.0,
        )),
        Chart::Lines(left(report)),
        Chart::Bars(bars(
            report,
            "Bytes on the link, MiB",
            "MiB",
            &[("median", |of| of.median)],
            |row| row.mebibytes,
            1.0,
        )),
        Chart::Lines(done(report)),
    ];
    sheet(
        "Two machines on two hosts whose tenants come and go",
        &about,
        &charts,
    )
}

fn bars(
    report: &Report,
    caption: &str,
    y: &'static str,
    series: &[Part],
    of: fn(&Row) -> Spread,
    times: f64,
) -> Bars {
    let series = series.iter().map(|(name, part)| {
        let values = report.rows.iter().map(|row| part(of(row)) * times);
        ((*name).to_owned(), values.collect())
    });
    Bars {
        caption: caption.to_owned(),
        y,
        groups: report
            .rows
            .iter()
            .map(|row| row.placement.name().to_owned())
            .collect(),
        series: series.collect(),
    }
}

/// What was done as time went on, in the last round.
fn done(report: &Report) -> Panel {
    let points = |row: &Row| {
        let slots = row.runs.last().map_or(&[][..], |run| &run.slots);
        let steps = slots.iter().zip(1_u32..).map(|(slot, end)| {
            let steps: u64 = slot.steps.iter().sum();
            let seconds = SLOT.as_secs_f64();
            (f64::from(end) * seconds, steps as f64 / seconds)
        });
        steps.collect()
    };
    let rows = report.rows.iter().zip(COLOURS);
    let line = |(row, colour): (&Row, _)| Line {
        name: row.placement.name().to_owned(),
        colour,
        floor: false,
        points: points(row),
    };
    Panel {
        caption: "Steps a second of both machines, last round".to_owned(),
        x: "seconds",
        y: "steps a second",
        scale: Scale::Count(SECONDS),
        names: Names::LowerRight,
        lines: rows.map(line).collect(),
    }
}

/// The last schedule, as steps.
fn left(report: &Report) -> Panel {
    let points = |host: usize| {
        let slots = report.schedules.last().into_iter().flatten().zip(0_u32..);
        let ends = slots.flat_map(move |(shares, slot)| {
            [slot, slot + 1].map(|at| (f64::from(at) * SLOT.as_secs_f64(), f64::from(shares[host])))
        });
        ends.collect()
    };
    let line = |host: usize| Line {
        name: format!("host {}", host + 1),
        colour: COLOURS[host],
        floor: false,
        points: points(host),
    };
    Panel {
        caption: "What tenants leave of each host, last round".to_owned(),
        x: "seconds",
        y: "% of a processor",
        scale: Scale::Count(SECONDS),
        names: Names::UpperLeft,
        lines: vec![line(0), line(1)],
    }
}
