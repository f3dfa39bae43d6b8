//! What a failing run says.

use giantvm_core::PageIndex;

/// Most lines of the trace that are shown.
const SHOWN: usize = 200;

/// A run broke an invariant. Its text has the seed, what is wrong, and the trace of the page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, step {step}: {what}\n{shown}", shown = shown(.trace))]
pub struct Failure {
    /// The seed that shows it again.
    pub seed: u64,
    /// The step at which it was noticed.
    pub step: u64,
    /// The name of the broken invariant and how it is broken.
    pub what: String,
    /// The page, if it is about one.
    pub page: Option<PageIndex>,
    /// What happened to that page, or at all: a line an event.
    pub trace: Vec<String>,
}

fn shown(trace: &[String]) -> String {
    let skipped = trace.len().saturating_sub(SHOWN);
    let mut lines = trace[skipped..].join("\n");
    if skipped > 0 {
        lines = format!("({skipped} earlier lines left out)\n{lines}");
    }
    lines
}
