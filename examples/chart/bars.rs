//! One chart of groups of bars.

use plotters::prelude::*;

use super::panel::{Area, COLOURS};
use super::short;

/// How much of a group's width its bars take together.
const FILLED: f64 = 0.8;

/// Things beside one another, each with a bar of every series.
#[derive(Debug)]
pub struct Bars {
    /// What the chart is about.
    pub caption: String,
    /// What is counted.
    pub y: &'static str,
    /// The names of the things.
    pub groups: Vec<String>,
    /// A name and a value for each thing.
    pub series: Vec<(String, Vec<f64>)>,
}

impl Bars {
    pub(super) fn draw(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let values = || self.series.iter().flat_map(|(_, values)| values);
        let high = values().copied().fold(f64::MIN_POSITIVE, f64::max) * 1.25;
        let end = self.groups.len().max(1) as f64;
        let mut chart = ChartBuilder::on(area)
            .caption(&self.caption, ("sans-serif", 19))
            .margin(14)
            .x_label_area_size(46)
            .y_label_area_size(64)
            .build_cartesian_2d((0.0..end).step(0.5), 0.0..high)?;
        // A label in the middle of each group, none between them.
        let name = |at: &f64| {
            let is_middle = at.fract() > 0.4;
            let group = self.groups.iter().enumerate();
            let mut named =
                group.filter(|(group, _)| is_middle && (at - *group as f64).abs() < 1.0);
            named
                .find(|(group, _)| *at > *group as f64)
                .map_or_else(String::new, |(_, name)| name.clone())
        };
        chart
            .configure_mesh()
            .y_desc(self.y)
            .axis_desc_style(("sans-serif", 15))
            .label_style(("sans-serif", 13))
            .x_labels(2 * self.groups.len() + 1)
            .x_label_formatter(&name)
            .y_label_formatter(&|value| short(*value))
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .draw()?;
        let width = FILLED / self.series.len().max(1) as f64;
        for (at, (name, values)) in self.series.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let bar = |(group, value): (usize, &f64)| {
                let left = group as f64 + (1.0 - FILLED) / 2.0 + at as f64 * width;
                Rectangle::new([(left, 0.0), (left + width, *value)], colour.filled())
            };
            let bars = values.iter().enumerate().map(bar);
            chart.draw_series(bars)?.label(name).legend(move |(x, y)| {
                Rectangle::new([(x, y - 5), (x + 18, y + 5)], colour.filled())
            });
        }
        let mut names = chart.configure_series_labels();
        names
            .position(SeriesLabelPosition::UpperRight)
            .label_font(("sans-serif", 13))
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.2));
        Ok(names.draw()?)
    }
}
