//! How it went.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::checks::Finding;

/// Columns of the table: what is longer goes on in the next line.
const WIDTH: u16 = 110;

/// What became of a step.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StepResult {
    /// The step.
    pub(crate) step: String,
    /// Seconds it took, by the emulated host's clock.
    pub(crate) seconds: Option<f64>,
    /// What was looked at.
    pub(crate) findings: Vec<Looked>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Looked {
    what: String,
    ok: bool,
    detail: String,
}

impl From<Finding> for Looked {
    fn from(Finding { what, ok, detail }: Finding) -> Self {
        Self { what, ok, detail }
    }
}

impl StepResult {
    fn passed(&self) -> bool {
        self.findings.iter().all(|looked| looked.ok)
    }
}

/// What became of a scenario.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ScenarioResult {
    /// The scenario.
    pub(crate) scenario: String,
    /// Seconds it took by the machine's clock, with boots.
    pub(crate) seconds: f64,
    /// Hosts that had to be started anew, and why.
    pub(crate) retries: Vec<String>,
    /// What was done.
    pub(crate) steps: Vec<StepResult>,
}

impl ScenarioResult {
    /// Whether all was seen that must be seen.
    pub(crate) fn passed(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(StepResult::passed)
    }
}

/// All results as a table.
pub(crate) fn table(results: &[ScenarioResult]) -> String {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH);
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["scenario", "step", "checked", "result", "s"]);
    for result in results {
        for retry in &result.retries {
            table.add_row([&*result.scenario, "", retry, "retried", ""]);
        }
        for step in &result.steps {
            let seconds = step.seconds.map(|seconds| format!("{seconds:.1}"));
            table.add_row([
                Cell::new(&result.scenario),
                Cell::new(&step.step),
                Cell::new(checked(step)),
                Cell::new(if step.passed() { "ok" } else { "FAIL" }),
                Cell::new(seconds.unwrap_or_default()).set_alignment(CellAlignment::Right),
            ]);
        }
        let passed = if result.passed() { "passed" } else { "FAILED" };
        let seconds = Cell::new(format!("{:.1}", result.seconds));
        table.add_row([
            Cell::new(&result.scenario),
            Cell::new("all"),
            Cell::new("with boots, by this machine's clock"),
            Cell::new(passed),
            seconds.set_alignment(CellAlignment::Right),
        ]);
    }
    table.to_string()
}

/// What was checked: a word each if all is well, else what is not.
fn checked(step: &StepResult) -> String {
    let lines = step.findings.iter().filter_map(|looked| {
        let Looked { what, ok, detail } = looked;
        match (ok, detail.is_empty()) {
            (true, true) => None,
            (true, false) => Some(format!("{what}: {detail}")),
            (false, true) => Some(format!("FAIL {what}")),
            (false, false) => Some(format!("FAIL {what}: {detail}")),
        }
    });
    let mut lines: Vec<_> = lines.collect();
    let quiet = step.findings.len() - lines.len();
    if quiet > 0 {
        lines.push(format!("{quiet} more as they must be"));
    }
    lines.join("\n")
}
