//! What the litmus tests ended in, for people and for machines.

use comfy_table::{CellAlignment, Table, presets};
use giantvm_guest::programs::litmus::{Pages, Stores};
use giantvm_guest::{CaseReport, Judgement};
use serde::Serialize;

/// What became of one litmus test in one of its variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LitmusReport {
    pub(crate) test: String,
    /// How many pages its two variables lie on.
    pub(crate) pages: u8,
    /// Whether its stores are locked instructions.
    pub(crate) locked: bool,
    pub(crate) rounds: u64,
    /// Rounds that ended as x86-TSO allows, but no order of the instructions explains.
    pub(crate) weak: u64,
    /// Rounds that ended as x86-TSO forbids.
    pub(crate) forbidden: u64,
    pub(crate) outcomes: Vec<OutcomeReport>,
}

/// An outcome that came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct OutcomeReport {
    pub(crate) outcome: String,
    pub(crate) rounds: u64,
    pub(crate) weak: bool,
    pub(crate) forbidden: bool,
}

/// The reports of all cases, from the guest's tables.
pub(crate) fn report(tables: &[u8]) -> Vec<LitmusReport> {
    let cases = giantvm_guest::litmus(tables);
    cases.iter().map(LitmusReport::new).collect()
}

impl LitmusReport {
    fn new(report: &CaseReport) -> Self {
        let case = report.case;
        let outcomes = report.seen.iter().map(|seen| OutcomeReport {
            outcome: case.test().describe(seen.outcome).to_string(),
            rounds: seen.rounds,
            weak: seen.judgement == Judgement::Weak,
            forbidden: seen.judgement == Judgement::Forbidden,
        });
        Self {
            test: case.test().name.to_owned(),
            pages: match case.pages {
                Pages::One => 1,
                Pages::Two => 2,
            },
            locked: case.stores == Stores::Locked,
            rounds: report.rounds(),
            weak: report.rounds_of(Judgement::Weak),
            forbidden: report.rounds_of(Judgement::Forbidden),
            outcomes: outcomes.collect(),
        }
    }
}

/// A line for each case.
pub(crate) fn table(reports: &[LitmusReport]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header([
        "litmus",
        "pages",
        "stores",
        "rounds",
        "forbidden",
        "weak",
        "outcomes",
    ]);
    for report in reports {
        let outcomes = report.outcomes.iter().map(|seen| {
            let mark = match seen {
                _ if seen.forbidden => " FORBIDDEN",
                _ if seen.weak => " weak",
                _ => "",
            };
            format!("{}: {}{mark}", seen.outcome, seen.rounds)
        });
        table.add_row([
            report.test.clone(),
            report.pages.to_string(),
            if report.locked { "locked" } else { "plain" }.to_owned(),
            report.rounds.to_string(),
            report.forbidden.to_string(),
            report.weak.to_string(),
            in_lines(outcomes),
        ]);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        if ![0, 2, 6].contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Outcomes side by side, in lines that keep the table as narrow as that of the nodes.
fn in_lines(outcomes: impl Iterator<Item = String>) -> String {
    const WIDTH: usize = 60;
    let mut lines: Vec<String> = Vec::new();
    for outcome in outcomes {
        match lines.last_mut() {
            Some(line) if line.len() + outcome.len() + 2 <= WIDTH => {
                line.extend([", ", &outcome]);
            }
            _ => lines.push(outcome),
        }
    }
    lines.join("\n")
}
