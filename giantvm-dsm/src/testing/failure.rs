//! What a failing run says.

use std::fmt;

use giantvm_core::PageIndex;

use super::scenario::Scenario;

/// Most lines of the trace that are shown.
const SHOWN: usize = 200;

/// How to read a line of the trace.
const LEGEND: &str = "\
One line an event: nanoseconds of the virtual clock, the node, what came => what its protocol ordered.
0x1.2 is word 2 of page 0x1.";

/// A run broke a law. Its text has the seed, what is wrong, the smallest scenario found that shows
/// it, and the trace of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// What was run, if it was made small.
    pub scenario: Option<Box<Scenario>>,
}

impl Failure {
    /// The name of the broken invariant.
    #[must_use]
    pub fn law(&self) -> &str {
        self.what.split(':').next().unwrap_or_default()
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed, step, what, ..
        } = self;
        writeln!(f, "seed {seed}, step {step}: {what}")?;
        if let Some(scenario) = &self.scenario {
            write!(
                f,
                "\nThe smallest scenario found that fails so:\n{scenario}"
            )?;
        }
        match self.page {
            Some(page) => writeln!(f, "\nWhat happened to page {page}:")?,
            None => writeln!(f, "\nWhat happened:")?,
        }
        writeln!(f, "{LEGEND}\n")?;
        let skipped = self.trace.len().saturating_sub(SHOWN);
        if skipped > 0 {
            writeln!(f, "({skipped} earlier lines left out)")?;
        }
        for line in &self.trace[skipped..] {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "{:>10}  after this: {what}", "^")
    }
}
