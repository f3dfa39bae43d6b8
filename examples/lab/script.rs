//! What a host runs, as a shell script, and how its console tells of it.

use std::fmt::Write as _;

use crate::scenario::{Role, Step};

/// A machine says so when it is ready.
pub(crate) fn up(role: Role) -> String {
    format!("LAB {} up", role.name())
}

/// A machine says so when it has nothing left to do.
pub(crate) fn end(role: Role) -> String {
    format!("LAB {} end", role.name())
}

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

/// Finds a step in what a machine's console printed; `None` if it has not begun.
pub(crate) fn told(console: &str, role: Role, number: usize) -> Option<Told> {
    let mark = match role {
        Role::Host | Role::LinuxHost => format!("LAB step {number}"),
        Role::Guest => "LAB guest".to_owned(),
    };
    let (begin, end) = (format!("{mark} begin "), format!("{mark} end "));
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
        let told = told(CONSOLE, Role::Host, 0).unwrap();
        assert_eq!(told.output, "hello\n");
        assert_eq!(told.end, Some((2.25, 4)));
    }

    #[test]
    fn a_step_without_an_end_has_the_output_so_far() {
        let told = told(CONSOLE, Role::Host, 1).unwrap();
        assert_eq!((&*told.output, told.end), ("still ", None));
    }

    #[test]
    fn a_step_that_did_not_begin_is_not_told_of() {
        assert_eq!(told(CONSOLE, Role::Host, 2), None);
        assert_eq!(told("", Role::Host, 0), None);
    }

    #[test]
    fn a_guest_in_a_host_is_not_taken_for_the_host() {
        let console = "LAB step 0 begin 1.00\nLAB guest begin 9.00\nLAB guest end 9.50 status 1\n\
                       LAB step 0 end 2.00 status 0\n";
        let end = |role| told(console, role, 0).unwrap().end;
        assert_eq!(end(Role::LinuxHost), Some((1.0, 0)));
        assert_eq!(end(Role::Guest), Some((0.5, 1)));
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
        let first = told(&console, Role::Host, 0).unwrap();
        assert_eq!(first.output, "it\n");
        assert_eq!(first.end.unwrap().1, 3);
        let status = told(&console, Role::Host, 1).unwrap().end.unwrap().1;
        assert_eq!(status, 137, "it was killed");
    }
}
