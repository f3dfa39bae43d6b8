//! The figures as a picture: how latencies are distributed, what many threads and writers get, and
//! what many sharers cost.

use giantvm_examples::chart::{COLOURS, Chart, Line, Names, Panel, Scale, sheet};
use giantvm_examples::spread::Spread;

use crate::fan_out::FanOut;
use crate::faults::report::Measured;
use crate::faults::round::{Round, THREADS};
use crate::floor::Floors;
use crate::report::{Found, Setting};
use crate::sample::Times;

/// An SVG document: under a title one panel for each thing that was measured.
pub(crate) fn draw(found: &Found, setting: &Setting) -> anyhow::Result<String> {
    let about = [
        format!("{}: {}", setting.machine, setting.line()),
        setting.command.clone(),
    ];
    let charts: Vec<_> = panels(found).into_iter().map(Chart::Lines).collect();
    sheet("What a page fault costs between nodes", &about, &charts)
}

fn panels(found: &Found) -> Vec<Panel> {
    let states = [(false, "idle"), (true, "loaded")];
    let states = states.map(|(loaded, name)| {
        let rounds = found.rounds.iter().filter(|m| m.loaded == loaded);
        (name, rounds.collect::<Vec<_>>())
    });
    let states = states.into_iter().filter(|(_, rounds)| !rounds.is_empty());
    let states: Vec<_> = states.collect();
    let mut panels = Vec::new();
    for (state, rounds) in &states {
        panels.push(Panel {
            caption: format!("Latency, {state} machine"),
            x: "microseconds",
            y: "share of faults not slower",
            scale: Scale::Time,
            names: Names::LowerRight,
            lines: latencies(rounds),
        });
    }
    if !states.is_empty() {
        panels.push(Panel {
            caption: "Throughput against threads".to_owned(),
            x: "threads of node a that load",
            y: "remote faults a second",
            scale: Scale::Count(&[1.0, 2.0, 4.0, 8.0]),
            names: Names::UpperLeft,
            lines: by_state(&states, threads),
        });
        panels.push(Panel {
            caption: "Throughput against nodes".to_owned(),
            x: "nodes that write one page",
            y: "handovers a second",
            scale: Scale::Count(&[2.0, 3.0, 4.0]),
            names: Names::LowerLeft,
            lines: by_state(&states, writers),
        });
    }
    if let Some(rows) = &found.fan_out {
        panels.push(Panel {
            caption: "A store against the nodes that share its page".to_owned(),
            x: "nodes whose copies go",
            y: "microseconds, median",
            scale: Scale::Count(&[1.0, 2.0, 3.0, 7.0, 15.0]),
            names: Names::UpperLeft,
            lines: fan_out(rows),
        });
    }
    panels
}

type OfRound = fn(&Round) -> &Times;
type OfFloors = fn(&Floors) -> Times;

/// Each kind of fault, and its floor.
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
        let line = |name: String, times: Times, floor| Line {
            name,
            colour,
            floor,
            points: times.distribution(),
        };
        let floor = line(format!("floor of {name}"), Times::all(&floors), true);
        [line(name.to_owned(), own, false), floor]
    });
    lines.collect()
}

type Points = Vec<(f64, f64)>;
type State<'a> = (&'static str, Vec<&'a Measured>);

/// A line of each state, and what it is compared with.
fn by_state(states: &[State<'_>], of: fn(&[&Measured]) -> [Points; 2]) -> Vec<Line> {
    let lines = states
        .iter()
        .zip(COLOURS)
        .flat_map(|((state, rounds), colour)| {
            let line = |(points, floor)| Line {
                name: if floor {
                    format!("{state}, floor")
                } else {
                    format!("{state} machine")
                },
                colour,
                floor,
                points,
            };
            let [own, floor] = of(rounds);
            [(own, false), (floor, true)].map(line)
        });
    lines.filter(|line| !line.points.is_empty()).collect()
}

fn median(rounds: &[&Measured], figure: impl Fn(&Measured) -> f64) -> f64 {
    let figures: Spread = rounds.iter().map(|&m| figure(m)).collect();
    figures.median
}

/// Faults a second.
fn threads(rounds: &[&Measured]) -> [Points; 2] {
    let threads = THREADS.iter().enumerate();
    let figures = threads.map(|(at, &threads)| {
        let faults = median(rounds, |m| m.round.threads[at]);
        (threads as f64, faults)
    });
    [figures.collect(), Vec::new()]
}

/// Handovers a second, and those of a bare fault and round trip each.
fn writers(rounds: &[&Measured]) -> [Points; 2] {
    let most = rounds.first().map_or(0, |m| m.round.writing.len());
    let figures = (0..most).map(|at| {
        let handovers = median(rounds, |m| m.round.writing[at].handovers);
        ((at + 2) as f64, handovers)
    });
    let floor = median(rounds, |m| m.floors.handovers());
    [
        figures.collect(),
        vec![(2.0, floor), ((most + 1) as f64, floor)],
    ]
}

/// Times by who knows the sharers, and the floor.
fn fan_out(rows: &[FanOut]) -> Vec<Line> {
    let kinds = [("the writer is home", true), ("a sharer is home", false)];
    let kinds = kinds.into_iter().zip(COLOURS);
    let own = kinds.map(|((name, direct), colour)| {
        let rows = rows.iter().filter(|row| row.is_direct() == direct);
        Line {
            name: name.to_owned(),
            colour,
            floor: false,
            points: rows.map(|row| (row.sharers.into(), row.p50_us)).collect(),
        }
    });
    let floor = rows.iter().filter(|row| row.is_direct());
    let floor = Line {
        name: "floor: as many round trips at once".to_owned(),
        colour: COLOURS[2],
        floor: true,
        points: floor
            .map(|row| (row.sharers.into(), row.floor_p50_us))
            .collect(),
    };
    own.chain([floor]).collect()
}
