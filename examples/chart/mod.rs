//! Figures as a picture: an SVG document of charts under a title.

mod axis;
mod bars;
mod panel;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub use self::axis::Scale;
pub use self::bars::Bars;
use self::panel::Area;
pub use self::panel::{COLOURS, Line, Panel};

/// Where the names of a chart's lines are in nobody's way.
pub use plotters::prelude::SeriesLabelPosition as Names;

/// The size of one chart, in pixels.
const CHART: (u32, u32) = (700, 430);
/// The height of what is above all charts, in pixels.
const TITLE: u32 = 92;

/// One chart of a [`sheet`].
#[derive(Debug)]
pub enum Chart {
    /// Lines.
    Lines(Panel),
    /// Groups of bars.
    Bars(Bars),
}

/// An SVG document: a title, one or two lines about it, and the charts, two in a row.
///
/// # Errors
///
/// What cannot be drawn, such as a chart without room.
///
/// ```
/// use giantvm_examples::chart::{Bars, Chart, sheet};
///
/// let bars = Bars {
///     caption: "Bytes".into(),
///     y: "MiB",
///     groups: vec!["idle".into()],
///     series: vec![("moved".into(), vec![3.0])],
/// };
/// let svg = sheet("What it takes", &["one run".into()], &[Chart::Bars(bars)])?;
/// assert!(svg.starts_with("<svg"));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn sheet(title: &str, about: &[String], charts: &[Chart]) -> anyhow::Result<String> {
    let rows = charts.len().div_ceil(2).max(1);
    let size = (2 * CHART.0, TITLE + u32::try_from(rows)? * CHART.1);
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    let (above, rest) = root.split_vertically(TITLE);
    head(&above, title, about)?;
    let places = rest.split_evenly((rows, 2));
    for (chart, place) in charts.iter().zip(&places) {
        match chart {
            Chart::Lines(panel) => panel.draw(place)?,
            Chart::Bars(bars) => bars.draw(place)?,
        }
    }
    root.present()?;
    drop((root, above, rest, places));
    Ok(svg)
}

fn head(area: &Area<'_>, title: &str, about: &[String]) -> anyhow::Result<()> {
    let title = [(24, title)];
    let about = about.iter().map(|line| (15, line.as_str()));
    let middle = i32::try_from(CHART.0)?;
    for ((size, text), y) in title.into_iter().chain(about).zip([14, 46, 68]) {
        let style = ("sans-serif", size).into_text_style(area);
        let style = style.pos(Pos::new(HPos::Center, VPos::Top));
        area.draw_text(text, &style, (middle, y))?;
    }
    Ok(())
}

/// A number with few signs.
fn short(value: f64) -> String {
    let (value, unit) = if value >= 1e3 {
        (value / 1e3, "k")
    } else {
        (value, "")
    };
    // As Rust writes numbers: without what is zero after the point.
    format!("{}{unit}", (value * 10.0).round() / 10.0)
}
