//! What is tried in the lab, as data.

use std::time::Duration;

use crate::emulators::Paging;

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
    pub(crate) paging: Paging,
    /// The emulated machines. More than one are joined by a network, on which hosts are 198.18.0.1
    /// and so on.
    pub(crate) hosts: &'static [Host],
    /// Files in the hosts' /lab.
    pub(crate) files: &'static [(&'static str, &'static str)],
}

/// An emulated machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host {
    /// What it is.
    pub(crate) role: Role,
    /// Its processors.
    pub(crate) cpus: u8,
    /// Its memory in MiB.
    pub(crate) memory: u32,
    /// What it does, one after the other.
    pub(crate) steps: &'static [Step],
}

/// What an emulated machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A host. Its /lab has the project's programs.
    Host,
    /// A host whose /lab also has Linux for a guest: `vmlinux` and `guest.cpio`.
    LinuxHost,
    /// What elsewhere is a guest. Its only step is a kernel command line.
    Guest,
}

impl Role {
    /// What it calls itself on its console.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Host | Self::LinuxHost => "host",
            Self::Guest => "guest",
        }
    }
}

/// A command that a host runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// What it is called in the verdict.
    pub(crate) name: &'static str,
    /// The command, for the shell of the host, without single quotes.
    pub(crate) command: &'static str,
    /// It is killed after so many seconds, by its host's clock.
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
    /// This text, in a line that is worth showing.
    Shows(&'static str),
    /// That a check of the guest's own is ok.
    Guest(&'static str),
    /// That no node sends more messages a second while the guest is idle, of which its output has to tell
    /// by `--top --json`.
    Quiet(u32),
}

impl Scenario {
    /// How long its hosts may take once they are up, by their own clocks.
    pub(crate) fn limit(&self) -> Duration {
        let host = |host: &Host| host.steps.iter().map(|step| step.limit).sum::<u64>();
        let longest = self.hosts.iter().map(host).max();
        Duration::from_secs(longest.unwrap_or(0) + SLACK)
    }
}

/// Seconds that starting and ending commands may take.
const SLACK: u64 = 15;
