//! One chart of lines.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::axis::{Axis, Scale};
use super::short;

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Colours that everyone can tell apart.
pub const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 86, 86),
];

/// Points with a name and a colour.
#[derive(Debug)]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// One of [`COLOURS`].
    pub colour: RGBColor,
    /// What nothing can beat, or what something is compared with.
    pub floor: bool,
    /// Where it goes.
    pub points: Vec<(f64, f64)>,
}

/// Lines and what they are about.
#[derive(Debug)]
pub struct Panel {
    /// What the chart is about.
    pub caption: String,
    /// What the horizontal axis counts.
    pub x: &'static str,
    /// What the vertical axis counts.
    pub y: &'static str,
    /// How the horizontal axis counts.
    pub scale: Scale,
    /// Where the names of the lines are in nobody's way.
    pub names: SeriesLabelPosition,
    /// What is drawn.
    pub lines: Vec<Line>,
}

impl Panel {
    pub(super) fn draw(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Axis::of(self.scale, points().map(|point| point.0));
        let high = match self.scale {
            Scale::Time => 1.0,
            Scale::Count(_) => points().map(|point| point.1).fold(1.0, f64::max) * 1.25,
        };
        let mut chart = ChartBuilder::on(area)
            .caption(&self.caption, ("sans-serif", 19))
            .margin(14)
            .x_label_area_size(46)
            .y_label_area_size(64)
            .build_cartesian_2d(x, 0.0..high)?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .axis_desc_style(("sans-serif", 15))
            .label_style(("sans-serif", 13))
            .x_label_formatter(&|value| short(*value))
            .y_label_formatter(&|value| short(*value))
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .draw()?;
        for line in &self.lines {
            let (points, colour) = (line.points.iter().copied(), line.colour);
            let named = if line.floor {
                let style = colour.mix(0.8).stroke_width(1);
                chart.draw_series(DashedLineSeries::new(points, 4, 3, style))?
            } else {
                let size = match self.scale {
                    Scale::Time => 0,
                    Scale::Count(_) => 3,
                };
                let style = colour.stroke_width(2).filled();
                chart.draw_series(LineSeries::new(points, style).point_size(size))?
            };
            let (width, pieces) = if line.floor {
                (1, [(0, 4), (7, 11), (14, 18)])
            } else {
                (3, [(0, 7), (7, 14), (14, 20)])
            };
            named.label(&line.name).legend(move |(x, y)| {
                let [first, second, third] = pieces.map(|(from, to)| {
                    PathElement::new([(from, 0), (to, 0)], colour.stroke_width(width))
                });
                EmptyElement::at((x, y)) + first + second + third
            });
        }
        let mut names = chart.configure_series_labels();
        names
            .position(self.names.clone())
            .label_font(("sans-serif", 13))
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.2));
        Ok(names.draw()?)
    }
}
