//! The figures as a picture: how latencies are distributed, and what many threads and writers get.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::faults::report::Measured;
use crate::faults::round::{Round, THREADS};
use crate::floor::Floors;
use crate::report::{Found, Setting};
use crate::sample::{Spread, Times};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Points with a name and a colour.
struct Line {
    name: String,
    colour: RGBAColor,
    points: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (1400, 1000);
const COLOURS: [RGBColor; 3] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
];

/// An SVG document: latencies above, throughputs below, idle on the left, loaded on the right.
pub(crate) fn draw(found: &Found, _: &Setting) -> anyhow::Result<String> {
    let mut svg = String::new();
    draw_on(
        SVGBackend::with_string(&mut svg, SIZE).into_drawing_area(),
        &found.rounds,
    )?;
    Ok(svg)
}

fn draw_on(root: Area<'_>, rounds: &[Measured]) -> anyhow::Result<()> {
    root.fill(&WHITE)?;
    let mut states = Vec::new();
    for (loaded, name) in [(false, "idle"), (true, "loaded")] {
        let rounds: Vec<_> = rounds.iter().filter(|m| m.loaded == loaded).collect();
        if !rounds.is_empty() {
            states.push((name, rounds));
        }
    }
    let panels = root.split_evenly((2, states.len()));
    for (at, (state, rounds)) in states.iter().enumerate() {
        distributions(&panels[at], state, &latencies(rounds))?;
        rates(&panels[states.len() + at], state, &throughputs(rounds))?;
    }
    Ok(root.present()?)
}

type OfRound = fn(&Round) -> &Times;
type OfFloors = fn(&Floors) -> Times;

/// Each kind of fault, and its floor paler.
fn latencies(rounds: &[&Measured]) -> Vec<Line> {
    let kinds: [(&str, OfRound, OfFloors); 3] = [
        ("remote read", |r| &r.read, |f| f.read().sums),
        ("remote write", |r| &r.write, |f| f.write().sums),
        ("upgrade", |r| &r.upgrade, |f| f.upgrade().sums),
    ];
    let kinds = kinds.into_iter().zip(COLOURS);
    let lines = kinds.flat_map(|((name, own, floor), colour)| {
        let floors: Vec<_> = rounds.iter().map(|m| floor(&m.floors)).collect();
        let own = Times::all(rounds.iter().map(|m| own(&m.round)));
        let line = |name: String, times: Times, alpha| Line {
            name,
            colour: colour.mix(alpha),
            points: times.distribution(),
        };
        let floor = line(format!("floor of {name}"), Times::all(&floors), 0.35);
        [line(name.to_owned(), own, 1.0), floor]
    });
    lines.collect()
}

fn throughputs(rounds: &[&Measured]) -> Vec<Line> {
    let median = |figure: &dyn Fn(&Measured) -> f64| {
        let figures: Spread = rounds.iter().map(|&m| figure(m)).collect();
        figures.median
    };
    let threads = THREADS.iter().enumerate();
    let threads = threads.map(|(at, &threads)| (threads as f64, median(&|m| m.round.threads[at])));
    let most = rounds.first().map_or(0, |m| m.round.writing.len());
    let writers = (0..most).map(|at| {
        let handovers = median(&|m| m.round.writing[at].handovers);
        ((at + 2) as f64, handovers)
    });
    let [blue, red, _] = COLOURS.map(|colour| colour.mix(1.0));
    let line = |name: &str, colour, points| Line {
        name: name.to_owned(),
        colour,
        points,
    };
    vec![
        line(
            "read faults/s by threads of node a",
            blue,
            threads.collect(),
        ),
        line("handovers/s by writing nodes", red, writers.collect()),
    ]
}

fn distributions(area: &Area<'_>, state: &str, lines: &[Line]) -> anyhow::Result<()> {
    let times = || {
        lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|point| point.0)
    };
    let low = times().fold(10.0_f64, f64::min).max(0.1);
    let high = times().fold(1000.0_f64, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(format!("latency, {state}"), ("sans-serif", 20))
        .margin(10)
        .set_left_and_bottom_label_area_size(50)
        .build_cartesian_2d((low..high).log_scale(), 0.0..1.0)?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("microseconds")
        .y_desc("share not slower")
        .draw()?;
    for Line {
        name,
        colour,
        points,
    } in lines
    {
        let series = LineSeries::new(points.iter().copied(), colour);
        chart.draw_series(series)?.label(name).legend(key(*colour));
    }
    let mut names = chart.configure_series_labels();
    let place = SeriesLabelPosition::LowerRight;
    Ok(names.position(place).background_style(WHITE).draw()?)
}

fn rates(area: &Area<'_>, state: &str, lines: &[Line]) -> anyhow::Result<()> {
    let rates = lines.iter().flat_map(|line| &line.points);
    let high = rates.map(|point| point.1).fold(1.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(format!("throughput, {state}"), ("sans-serif", 20))
        .margin(10)
        .set_left_and_bottom_label_area_size(50)
        .build_cartesian_2d(0.5..8.5, 0.0..high)?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("threads, or nodes").y_desc("a second").draw()?;
    for Line {
        name,
        colour,
        points,
    } in lines
    {
        let series = LineSeries::new(points.iter().copied(), colour).point_size(3);
        chart.draw_series(series)?.label(name).legend(key(*colour));
    }
    let mut names = chart.configure_series_labels();
    let place = SeriesLabelPosition::UpperLeft;
    Ok(names.position(place).background_style(WHITE).draw()?)
}

/// The dash beside a name.
fn key(colour: RGBAColor) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour)
}
