//! The figures, for people and for programs.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::measure::{Link, Row};

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) protocol: &'static str,
    pub(crate) transport: Link,
    pub(crate) faults: u64,
    pub(crate) rows: Vec<Row>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header([
            "page",
            "packed",
            "bytes/page",
            "bytes/turn",
            "p50 us",
            "p99 us",
            "mostly as",
        ]);
        for row in &self.rows {
            table.add_row([
                format!("{:?}", row.contents).to_lowercase(),
                format!("{:?}", row.mode).to_lowercase(),
                format!("{:.0}", row.page_bytes),
                format!("{:.0}", row.wire_bytes),
                format!("{:.1}", row.p50_us),
                format!("{:.1}", row.p99_us),
                row.packing.clone(),
            ]);
        }
        for column in table.column_iter_mut().skip(2).take(4) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let Self {
            protocol,
            transport,
            faults,
            ..
        } = self;
        write!(
            f,
            "{table}\n{faults} read faults each, protocol {protocol} over {transport:?}. A turn: one \
             node changes a page, the other reads it; times are of the read."
        )
    }
}
