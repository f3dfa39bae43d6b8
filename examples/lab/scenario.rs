//! What is tried in the lab, as data.

use std::time::Duration;

use crate::qemu::Npt;

/// Something to try, and what must be seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it is about, in a line.
    pub(crate) about: &'static str,
    /// Whether it is part of the short form.
    pub(crate) short: bool,
    /// How the hosts' processors find their guests' memory, if nobody says otherwise.
    pub(crate) npt: Npt,
    /// The emulated hosts. More than one are joined by a network, on which they are
    /// 198.18.0.1 and so on.
    pub(crate) hosts: &'static [Host],
    /// Whether hosts need Linux for a guest of theirs: its kernel and its programs.
    pub(crate) linux: bool,
    /// Files in the hosts' /lab.
    pub(crate) files: &'static [(&'static str, &'static str)],
}

/// An emulated host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host {
    /// Its processors.
    pub(crate) cpus: u8,
    /// Its memory in MiB.
    pub(crate) memory: u32,
    /// What it does, one after the other.
    pub(crate) steps: &'static [Step],
}

/// A command that a host runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// What it is called in the verdict.
    pub(crate) name: &'static str,
    /// The command, for the shell of the host.
    pub(crate) command: &'static str,
    /// It is killed after so many seconds.
    pub(crate) limit: u64,
    /// What must be seen besides the status 0.
    pub(crate) checks: &'static [Check],
}

/// What must be seen in a step's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// This text.
    Has(&'static str),
    /// Not this text.
    Lacks(&'static str),
    /// That a check of the guest's own is ok.
    Guest(&'static str),
}

impl Scenario {
    /// How long its hosts may take once they are up.
    pub(crate) fn limit(&self) -> Duration {
        let host = |host: &Host| host.steps.iter().map(|step| step.limit).sum::<u64>();
        let longest = self.hosts.iter().map(host).max();
        Duration::from_secs(longest.unwrap_or(0) + SLACK)
    }
}

/// Seconds that starting and ending commands may take.
const SLACK: u64 = 15;
