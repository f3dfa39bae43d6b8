//! JSON for programs that follow a run: one object a line.

use serde::Serialize;

use crate::hot::{HotPage, SHOWN};
use crate::rates::Rates;
use crate::report::RunReport;
use crate::screen::Moment;

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Line<'a> {
    /// A node at one moment.
    Sample {
        second: f64,
        node: &'a str,
        #[serde(flatten)]
        rates: &'a Rates,
        hottest: &'a [HotPage],
    },
    /// What the run came to, at its end.
    Report(&'a RunReport),
}

impl Line<'_> {
    /// The line, with its end.
    pub(crate) fn to_text(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }
}

/// A line for each node that told of itself.
pub(crate) fn of(moment: &Moment) -> serde_json::Result<String> {
    let lines = moment.rows.iter().filter(|row| row.fresh).map(|row| {
        let line = Line::Sample {
            second: moment.second,
            node: &row.node,
            rates: &row.rates,
            hottest: &row.hottest[..row.hottest.len().min(SHOWN)],
        };
        line.to_text()
    });
    lines.collect()
}
