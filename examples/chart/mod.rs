//! Pictures of figures: a sheet of charts of lines, as SVG.

mod axis;
mod panel;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub(crate) use axis::Scale;
pub(crate) use panel::{COLOURS, Line, Panel};

use panel::Area;

/// Of one panel.
const PANEL: (u32, u32) = (700, 430);
/// Above all panels.
const TITLE: u32 = 92;

/// An SVG document: under a title and two lines about how it was measured the panels, two in a row.
pub(crate) fn sheet(title: &str, how: [String; 2], panels: &[Panel]) -> anyhow::Result<String> {
    let rows = panels.len().div_ceil(2).max(1);
    let size = (2 * PANEL.0, TITLE + u32::try_from(rows)? * PANEL.1);
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    let (top, rest) = root.split_vertically(TITLE);
    head(&top, title, how)?;
    let places = rest.split_evenly((rows, 2));
    for (panel, place) in panels.iter().zip(&places) {
        panel.draw(place)?;
    }
    root.present()?;
    drop((root, top, rest, places));
    Ok(svg)
}

fn head(area: &Area<'_>, title: &str, how: [String; 2]) -> anyhow::Result<()> {
    let lines = [(24, title.to_owned())].into_iter();
    let lines = lines.chain(how.map(|line| (15, line)));
    let middle = i32::try_from(PANEL.0)?;
    for ((size, text), y) in lines.zip([14, 46, 68]) {
        let style = ("sans-serif", size).into_text_style(area);
        let style = style.pos(Pos::new(HPos::Center, VPos::Top));
        area.draw_text(&text, &style, (middle, y))?;
    }
    Ok(())
}
