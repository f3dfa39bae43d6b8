//! What was found out about one thing.

use std::fmt;

/// How well one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Good,
    /// The host can serve, but less well.
    Poor,
    /// The host cannot serve.
    Bad,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Poor => "poor",
            Self::Bad => "BAD ",
        })
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    pub(crate) what: String,
    /// What it means, and the mend if there is something to mend.
    pub(crate) detail: String,
}

impl Finding {
    pub(crate) fn new(
        verdict: Verdict,
        what: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            verdict,
            what: what.into(),
            detail: detail.into(),
        }
    }
}
