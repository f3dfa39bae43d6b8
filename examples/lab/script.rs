//! What a host runs, as a shell script, and how its console tells of it.

use std::fmt::Write as _;

use crate::scenario::Step;

/// A host says so when it is ready.
pub(crate) const UP: &str = "LAB host up";
/// A host says so when it has nothing left to do.
pub(crate) const END: &str = "LAB host end";

/// The script that runs a host's steps.
pub(crate) fn script(steps: &[Step]) -> String {
    let mut script = String::from("seconds() { cut -d' ' -f1 /proc/uptime; }\n");
    for (number, step) in steps.iter().enumerate() {
        let Step { command, limit, .. } = step;
        // Errors of writing to a String do not exist.
        let _ = write!(
            script,
            "echo \"LAB step {number} begin $(seconds)\"\n\
             timeout -s KILL {limit} sh -c '{command}' 2>&1\n\
             echo \"LAB step {number} end $(seconds) status $?\"\n",
        );
    }
    script
}

/// What a console tells of a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    /// What the step printed.
    pub(crate) output: String,
    /// Seconds it took, and its status, if it has ended.
    pub(crate) end: Option<(f64, u8)>,
}

/// Finds a step in what a console printed; `None` if it has not begun.
pub(crate) fn told(console: &str, number: usize) -> Option<Told> {
    let begin = format!("LAB step {number} begin ");
    let end = format!("LAB step {number} end ");
    let (_, rest) = console.split_once(&begin)?;
    let (start, rest) = rest.split_once('\n')?;
    let Some((output, ending)) = rest.split_once(&end) else {
        let output = rest.to_owned();
        return Some(Told { output, end: None });
    };
    let ending = ending.lines().next().unwrap_or_default();
    let ended = || {
        let (stop, status) = ending.split_once(" status ")?;
        let seconds = stop.parse::<f64>().ok()? - start.trim().parse::<f64>().ok()?;
        Some((seconds, status.trim().parse().ok()?))
    };
    let output = output.to_owned();
    Some(Told {
        output,
        end: ended(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "LAB host up\nLAB step 0 begin 1.50\nhello\nLAB step 0 end 3.75 status 4\n\
                           LAB step 1 begin 3.80\nstill ";

    #[test]
    fn a_step_that_ended_has_its_output_its_time_and_its_status() {
        let told = told(CONSOLE, 0).unwrap();
        assert_eq!(told.output, "hello\n");
        assert_eq!(told.end, Some((2.25, 4)));
    }

    #[test]
    fn a_step_without_an_end_has_the_output_so_far() {
        let told = told(CONSOLE, 1).unwrap();
        assert_eq!((&*told.output, told.end), ("still ", None));
    }

    #[test]
    fn a_step_that_did_not_begin_is_not_told_of() {
        assert_eq!(told(CONSOLE, 2), None);
        assert_eq!(told("", 0), None);
    }

    #[test]
    fn the_shell_tells_what_is_looked_for() {
        let steps = [
            Step {
                name: "a",
                command: "echo it; exit 3",
                limit: 10,
                checks: &[],
            },
            Step {
                name: "b",
                command: "sleep 100",
                limit: 1,
                checks: &[],
            },
        ];
        let mut shell = std::process::Command::new("sh");
        let output = shell.args(["-c", &script(&steps)]).output().unwrap();
        let console = String::from_utf8(output.stdout).unwrap();
        let first = told(&console, 0).unwrap();
        assert_eq!(first.output, "it\n");
        assert_eq!(first.end.unwrap().1, 3);
        let status = told(&console, 1).unwrap().end.unwrap().1;
        assert_eq!(status, 137, "it was killed");
    }
}
