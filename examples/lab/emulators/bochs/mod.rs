//! Bochs, and how it is asked for a host.
//!
//! It interprets: some ten million instructions a second, of all its processors together. Its time is
//! that of its instructions, so what it measures does not depend on what else the machine does.

mod disk;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::bail;
use tempfile::TempDir;

use super::Machine;
use crate::cache::Cache;
use crate::packages::{self, Unpacked};
use crate::sources::Suite;

/// Instructions of a processor in a second of the machine's. A real one has thirty times as many: a
/// guest's timer comes that often, unless its time passes more slowly.
const SPEED: u64 = 100_000_000;
/// It has extended page tables.
const PROCESSOR: &str = "corei7_haswell_4770";

/// Bochs, fetched.
#[derive(Debug, Clone)]
pub(crate) struct Bochs(Unpacked);

impl Bochs {
    /// Takes it from the cache, or fetches it.
    pub(super) fn fetch(cache: &Cache) -> anyhow::Result<Self> {
        packages::whole(cache, "bochs", Suite::Stable, &["bochs", "vgabios"]).map(Self)
    }

    /// What starts an emulated host, and the directory that it needs.
    pub(super) fn command(&self, machine: &Machine<'_>) -> anyhow::Result<(Command, TempDir)> {
        if machine.network.is_some() {
            bail!("hosts with extended page tables have no network: choose another --paging");
        }
        let files = tempfile::tempdir()?;
        let disk = files.path().join("disk");
        // Processors that sleep make its time stand still, almost.
        let command_line = machine.command_line(SPEED / 1000) + " idle=poll";
        let contents = disk::Contents {
            kernel: machine.kernel,
            initrd: machine.initrd,
            command_line: &command_line,
            memory: u64::from(machine.memory) << 20,
        };
        disk::write(&contents, &disk, files.path())?;
        let (settings, start) = (files.path().join("settings"), files.path().join("start"));
        fs::write(&settings, self.settings(machine, files.path()))?;
        // It stops at the first instruction, in its debugger.
        fs::write(&start, "c\n")?;
        let mut command = self.0.command("usr/bin/bochs-bin");
        command.arg("-q").arg("-f").arg(settings);
        command.arg("-rc").arg(start);
        command.env("BXSHARE", self.0.path("usr/share/bochs"));
        let plugins = self.0.path("usr/lib/x86_64-linux-gnu/bochs/plugins");
        command.env("LTDL_LIBRARY_PATH", plugins);
        Ok((command, files))
    }

    fn settings(&self, machine: &Machine<'_>, files: &Path) -> String {
        let (cpus, memory, files) = (machine.cpus, machine.memory, files.display());
        let screen = self.0.path("usr/share/vgabios/vgabios.bin");
        let screen = screen.display();
        format!(
            "config_interface: textconfig\n\
             display_library: rfb, options=\"timeout=0\"\n\
             plugin_ctrl: voodoo=0, sb16=0, es1370=0, ne2k=0, usb_uhci=0\n\
             cpu: model={PROCESSOR}, count={cpus}, ips={SPEED}, reset_on_triple_fault=0, ignore_bad_msrs=1\n\
             memory: guest={memory}, host={memory}\n\
             romimage: file=$BXSHARE/BIOS-bochs-latest\n\
             vgaromimage: file={screen}\n\
             ata0: enabled=1\n\
             ata0-master: type=disk, path={files}/disk, mode=flat\n\
             boot: disk\n\
             com1: enabled=1, mode=file, dev=/dev/stdout\n\
             clock: sync=none\n\
             sound: driver=dummy\n\
             log: /dev/stderr\n\
             panic: action=fatal\n\
             error: action=ignore\n\
             info: action=ignore\n\
             debug: action=ignore\n"
        )
    }
}
