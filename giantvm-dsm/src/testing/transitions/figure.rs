//! The table as a picture.

use std::fmt::Write as _;

use super::{Cell, Transitions};

const LEFT: usize = 150;
const TOP: usize = 110;
const WIDTH: usize = 88;
const HEIGHT: usize = 24;

const TAKEN: &str = "#2f9e6e";
const DEPENDS: &str = "#e0a83a";
const REFUSED: &str = "#d9dde3";

impl Cell {
    fn colour(&self) -> &'static str {
        match (self.taken.is_empty(), self.refused.is_empty()) {
            (true, _) => REFUSED,
            (false, true) => TAKEN,
            (false, false) => DEPENDS,
        }
    }
}

impl Transitions {
    /// The table as an SVG picture: a row a state, a column a message.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let (states, messages) = (self.states(), self.messages());
        let width = LEFT + messages.len() * WIDTH + 20;
        let height = TOP + states.len() * HEIGHT + 50;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
             <text x=\"12\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}: every state and \
             every message</text>\n",
            self.protocol
        );
        let legend = [
            (TAKEN, "taken"),
            (DEPENDS, "taken or refused, by what it says"),
            (REFUSED, "refused by name"),
        ];
        for (place, (colour, text)) in legend.into_iter().enumerate() {
            let x = 12 + [0, 80, 320][place];
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"38\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
                 <text x=\"{}\" y=\"48\">{text}</text>",
                x + 18
            );
        }
        for (column, message) in messages.iter().enumerate() {
            let x = LEFT + column * WIDTH + WIDTH / 2;
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{message}</text>",
                TOP - 10
            );
        }
        for (row, state) in states.iter().enumerate() {
            let y = TOP + row * HEIGHT;
            let _ = writeln!(svg, "<text x=\"12\" y=\"{}\">{state}</text>", y + 16);
            for (column, message) in messages.iter().enumerate() {
                let Some(cell) = self.cells.get(&(*state, *message)) else {
                    continue;
                };
                let _ = writeln!(
                    svg,
                    "<rect x=\"{}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"{}\">\
                     <title>{state}, {message}: {cell}</title></rect>",
                    LEFT + column * WIDTH,
                    WIDTH - 2,
                    HEIGHT - 2,
                    cell.colour()
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}
