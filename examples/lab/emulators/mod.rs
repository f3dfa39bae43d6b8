//! What stands for a host's hardware.
//!
//! [`qemu`] has AMD's virtualization and several processors at once; [`bochs`] has Intel's, which reads
//! a guest's page tables without writing to them, and runs them by turns. Both boot the same kernel
//! with the same first file system.

mod bochs;
mod paging;
mod qemu;

pub(crate) use paging::Paging;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::cache::Cache;
use bochs::Bochs;
use qemu::Qemu;

/// One of them, fetched.
#[derive(Debug, Clone)]
pub(crate) enum Emulator {
    Qemu(Qemu),
    Bochs(Bochs),
}

impl Emulator {
    /// Takes what has this kind of paging from the cache, or fetches it.
    pub(crate) fn fetch(cache: &Cache, paging: Paging) -> anyhow::Result<Self> {
        Ok(match paging {
            Paging::Nested => Self::Qemu(Qemu::nested(cache)?),
            Paging::Shadow => Self::Qemu(Qemu::shadow(cache)?),
            Paging::Extended => Self::Bochs(Bochs::fetch(cache)?),
        })
    }

    /// Its name.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Qemu(_) => "QEMU",
            Self::Bochs(_) => "Bochs",
        }
    }

    /// A host that is not up by then never will be.
    pub(crate) const fn longest_boot(&self) -> Duration {
        match self {
            Self::Qemu(_) => Duration::from_secs(90),
            Self::Bochs(_) => Duration::from_secs(600),
        }
    }

    /// How many seconds one of a host's clock takes at most.
    pub(crate) const fn second(&self) -> u32 {
        match self {
            Self::Qemu(_) => 1,
            Self::Bochs(_) => 60,
        }
    }

    /// What starts an emulated host, whose console is the command's output, and the files it needs
    /// while it runs. The host ends when this thread does.
    ///
    /// # Errors
    /// If the files cannot be written, or the machine is joined to a network that it cannot have.
    pub(crate) fn start(
        &self,
        machine: &Machine<'_>,
    ) -> anyhow::Result<(Command, Option<TempDir>)> {
        let (emulator, files) = match self {
            Self::Qemu(qemu) => (qemu.command(machine), None),
            Self::Bochs(bochs) => {
                let (command, files) = bochs.command(machine)?;
                (command, Some(files))
            }
        };
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        command
            .arg(emulator.get_program())
            .args(emulator.get_args());
        let variables = emulator.get_envs();
        command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        Ok((command, files))
    }
}

/// One emulated machine.
#[derive(Debug, Clone)]
pub(crate) struct Machine<'a> {
    /// How its processor finds its guest's memory.
    pub(crate) paging: Paging,
    /// Its processors.
    pub(crate) cpus: u8,
    /// Its memory in MiB.
    pub(crate) memory: u32,
    /// Its kernel.
    pub(crate) kernel: &'a Path,
    /// Its first file system.
    pub(crate) initrd: &'a Path,
    /// Which of the scenario's machines it is, from 0.
    pub(crate) index: usize,
    /// What its kernel is told besides.
    pub(crate) command_line: &'a str,
    /// The socket of the network that joins it to others.
    pub(crate) network: Option<PathBuf>,
}

impl Machine<'_> {
    /// What its kernel is told. Its clock is its time-stamp counter, as reading another one would be
    /// slow; an emulated one that finds out its frequency by itself errs on a busy machine.
    fn command_line(&self, cycles_per_ms: u64) -> String {
        let (paging, index, more) = (self.paging.name(), self.index, self.command_line);
        format!(
            "console=ttyS0,115200 quiet panic=-1 tsc=reliable tsc_early_khz={cycles_per_ms} \
             lab.paging={paging} lab.host={index} {more}"
        )
    }
}
