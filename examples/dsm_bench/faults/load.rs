//! Someone else who wants the processors.

use std::hint::spin_loop;
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use clap::ValueEnum;

use crate::far::die_with_parent;
use crate::place;

/// Which rounds are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Loads {
    /// On an otherwise idle machine.
    None,
    /// Beside a process that keeps every processor busy.
    Only,
    /// Both, in turn.
    Both,
}

impl Loads {
    /// Whether each round of a group is loaded.
    pub(crate) const fn rounds(self) -> &'static [bool] {
        match self {
            Self::None => &[false],
            Self::Only => &[true],
            Self::Both => &[false, true],
        }
    }
}

/// A process with a busy thread on each processor; it ends with this value.
#[derive(Debug)]
pub(crate) struct Load(Child);

impl Load {
    pub(crate) fn start(cpus: &[usize]) -> anyhow::Result<Self> {
        let cpus: Vec<_> = cpus.iter().map(ToString::to_string).collect();
        let child = Command::new(std::env::current_exe()?)
            .args(["--busy", &cpus.join(",")])
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start the load")?;
        Ok(Self(child))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What that process does, until it is killed.
pub(crate) fn keep_busy(cpus: &[usize]) -> anyhow::Result<()> {
    die_with_parent()?;
    std::thread::scope(|scope| {
        for &cpu in cpus {
            scope.spawn(move || {
                // Where it may not run there, it runs elsewhere.
                place::confine(cpu).ok();
                loop {
                    spin_loop();
                }
            });
        }
    });
    Ok(())
}
