//! Whether what must be seen was seen.

use crate::quiet::quiet;
use crate::scenario::{Check, Step};
use crate::script::Told;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    /// What it was.
    pub(crate) what: String,
    /// Whether it was as it must be.
    pub(crate) ok: bool,
    /// What was seen instead, or what is worth telling.
    pub(crate) detail: String,
}

impl Finding {
    pub(crate) fn new(what: impl Into<String>, ok: bool, detail: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ok,
            detail: detail.into(),
        }
    }
}

/// Judges a step by what its host's console tells of it.
pub(crate) fn judge(step: &Step, told: Option<&Told>) -> Vec<Finding> {
    let Some(told) = told else {
        return vec![Finding::new("it ran", false, "the host did not come to it")];
    };
    let ended = match told.end {
        Some((_, 0)) => Finding::new("status 0", true, ""),
        Some((seconds, 137)) => {
            let detail = format!("killed after {seconds:.0} s");
            Finding::new("status 0", false, detail)
        }
        Some((_, status)) => Finding::new("status 0", false, format!("status {status}")),
        None => Finding::new("it ended", false, last_line(&told.output)),
    };
    let checks = step.checks.iter().map(|check| look(*check, &told.output));
    std::iter::once(ended).chain(checks).collect()
}

fn look(check: Check, output: &str) -> Finding {
    let found = |text: &str| output.lines().find(|line| line.contains(text));
    match check {
        Check::Has(text) => {
            let what = format!("says \"{text}\"");
            Finding::new(what, found(text).is_some(), "")
        }
        Check::Shows(text) => {
            let line = found(text);
            Finding::new("shows", line.is_some(), line.unwrap_or("nothing").trim())
        }
        Check::Lacks(text) => {
            let line = found(text);
            let what = format!("does not say \"{text}\"");
            Finding::new(what, line.is_none(), line.unwrap_or_default())
        }
        Check::Guest(name) => guest(name, output),
        Check::Quiet(most) => quiet(most, output),
    }
}

/// The guest's own check, which prints `LAB name ok detail` or `LAB name FAIL detail`.
fn guest(name: &str, output: &str) -> Finding {
    let what = format!("guest: {name}");
    let mark = format!("LAB {name} ");
    let mut results = output.lines().filter_map(|line| {
        let (_, result) = line.split_once(&mark)?;
        let (verdict, detail) = result.split_once(' ').unwrap_or((result, ""));
        matches!(verdict, "ok" | "FAIL").then(|| (verdict == "ok", detail.trim().to_owned()))
    });
    match results.next() {
        None => Finding::new(what, false, "the guest tells of no result"),
        Some((ok, detail)) => Finding::new(what, ok, detail),
    }
}

fn last_line(output: &str) -> String {
    let mut lines = output.lines().rev().filter(|line| !line.trim().is_empty());
    match lines.next() {
        Some(line) => format!("the last line is: {line}"),
        None => "it printed nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(checks: &'static [Check]) -> Step {
        Step {
            name: "a",
            command: "",
            limit: 1,
            checks,
        }
    }

    fn told(output: &str, end: Option<(f64, u8)>) -> Told {
        let output = output.to_owned();
        Told { output, end }
    }

    fn fails(checks: &'static [Check], output: &str, end: Option<(f64, u8)>) -> Vec<String> {
        let findings = judge(&step(checks), Some(&told(output, end)));
        let bad = findings.into_iter().filter(|finding| !finding.ok);
        bad.map(|finding| finding.detail).collect()
    }

    const WELL: Option<(f64, u8)> = Some((1.0, 0));

    #[test]
    fn a_step_that_did_not_begin_failed() {
        assert!(!judge(&step(&[]), None)[0].ok);
    }

    #[test]
    fn a_step_has_to_end_and_well() {
        assert!(fails(&[], "", WELL).is_empty());
        assert_eq!(fails(&[], "", Some((1.0, 3))), ["status 3"]);
        assert_eq!(fails(&[], "", Some((60.2, 137))), ["killed after 60 s"]);
        assert_eq!(fails(&[], "x\ny\n\n", None), ["the last line is: y"]);
    }

    #[test]
    fn texts_are_there_or_not_as_they_must_be() {
        const CHECKS: &[Check] = &[Check::Has("good"), Check::Lacks("bad")];
        assert!(fails(CHECKS, "all is good\n", WELL).is_empty());
        assert_eq!(fails(CHECKS, "this is bad\n", WELL), ["", "this is bad"]);
    }

    #[test]
    fn a_line_that_is_worth_showing_is_shown() {
        let checks = step(&[Check::Shows("up after")]);
        let shown = judge(&checks, Some(&told("it is up after 3 s\n", WELL)));
        assert_eq!(shown[1], Finding::new("shows", true, "it is up after 3 s"));
        assert!(!judge(&checks, Some(&told("", WELL)))[1].ok);
    }

    #[test]
    fn a_guests_check_is_ok_only_if_the_guest_says_so() {
        const CHECKS: &[Check] = &[Check::Guest("disk")];
        assert!(fails(CHECKS, "[    1.0] LAB disk ok 3 files\n", WELL).is_empty());
        assert_eq!(fails(CHECKS, "LAB disk FAIL sums\n", WELL), ["sums"]);
        assert_eq!(fails(CHECKS, "LAB diskette ok\n", WELL).len(), 1);
        assert_eq!(fails(CHECKS, "LAB disk begins\n", WELL).len(), 1);
    }
}
