//! The ratios as a picture: one panel for each machine and class, one line for each benchmark.

use std::collections::BTreeMap;

use giantvm_examples::chart::{COLOURS, Chart, Line, Names, Panel, Scale, sheet};

use crate::figures::Figures;
use crate::matrix::Benchmark;
use crate::report::Report;

/// An SVG document.
pub(crate) fn draw(report: &Report) -> anyhow::Result<String> {
    let mut groups: BTreeMap<_, Vec<&Figures>> = BTreeMap::new();
    for figures in &report.cases {
        let case = &figures.case;
        let key = (case.vcpu, case.nodes, case.class);
        groups.entry(key).or_default().push(figures);
    }
    let panels = groups
        .into_iter()
        .map(|((vcpu, nodes, class), cases)| Panel {
            caption: format!("Class {class:?}, {nodes} nodes, {} vCPUs", vcpu.name()),
            x: "threads for each vCPU",
            y: "times faster with das",
            scale: Scale::Count(&[1.0, 2.0, 4.0]),
            names: Names::UpperLeft,
            lines: lines(&cases),
        });
    let charts: Vec<_> = panels.map(Chart::Lines).collect();
    let title = "Threads that follow their memory against threads placed by load";
    sheet(title, &report.how(), &charts)
}

fn lines(cases: &[&Figures]) -> Vec<Line> {
    let named = Benchmark::ALL.into_iter().zip(COLOURS);
    let own = named.map(|(benchmark, colour)| {
        let of = cases.iter().filter(|of| of.case.benchmark == benchmark);
        let points = of.map(|of| (f64::from(of.case.factor), of.ratio.median));
        Line {
            name: benchmark.name().to_owned(),
            colour,
            floor: false,
            points: points.collect(),
        }
    });
    let equal = Line {
        name: "equal".to_owned(),
        colour: COLOURS[4],
        floor: true,
        points: vec![(1.0, 1.0), (4.0, 1.0)],
    };
    let all = own.chain([equal]);
    all.filter(|line| !line.points.is_empty()).collect()
}
