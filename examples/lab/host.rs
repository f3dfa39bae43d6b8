//! An emulated host that runs. It does not outlive its value.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::console::Console;

/// A running emulated host.
#[derive(Debug)]
pub(crate) struct Host {
    child: Child,
    console: Console,
    _files: Option<TempDir>,
}

impl Host {
    /// Starts it; what it prints goes to `name`.log in the directory. The files it needs end with it.
    pub(crate) fn start(
        (mut command, files): (Command, Option<TempDir>),
        logs: &Path,
        name: &str,
    ) -> anyhow::Result<Self> {
        let complaints = File::create(logs.join(format!("{name}-emulator.log")))?;
        let mut child = command
            // A terminal's Ctrl-C is for the lab, which then ends the host.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(complaints)
            .spawn()
            .context("cannot start the emulator")?;
        let stdout = child.stdout.take().context("the emulator has no output")?;
        let console = Console::gather(stdout, &logs.join(format!("{name}.log")))?;
        Ok(Self {
            child,
            console,
            _files: files,
        })
    }

    /// What it printed so far.
    pub(crate) fn text(&self) -> String {
        self.console.text()
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // One that has just ended is what we want.
        group.map(|group| kill_process_group(group, Signal::KILL));
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn start(script: &str, logs: &Path) -> Host {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Host::start((command, None), logs, "a").unwrap()
    }

    #[test]
    fn it_and_all_that_it_started_end_with_its_value() {
        let logs = tempfile::tempdir().unwrap();
        let host = start("sleep 1000 & echo $!; wait", logs.path());
        let start = Instant::now();
        while !host.text().ends_with('\n') {
            assert!(start.elapsed() < PATIENCE, "it prints nothing");
        }
        let process = format!("/proc/{}/stat", host.text().trim());
        let lives = || std::fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z "));
        assert!(lives());
        drop(host);
        while lives() {
            assert!(start.elapsed() < PATIENCE, "it does not end");
        }
    }

    #[test]
    fn what_it_prints_is_in_its_log_as_well() {
        let logs = tempfile::tempdir().unwrap();
        let mut host = start("printf 'one\\r\\ntwo\\n'", logs.path());
        let start = Instant::now();
        while !(host.has_ended() && host.text().ends_with("two\n")) {
            assert!(start.elapsed() < PATIENCE, "it does not end");
        }
        assert_eq!(host.text(), "one\ntwo\n");
        drop(host);
        let log = std::fs::read(logs.path().join("a.log")).unwrap();
        assert_eq!(log, b"one\r\ntwo\n");
    }
}
