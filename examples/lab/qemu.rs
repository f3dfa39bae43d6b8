//! How an emulated host is asked for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::cache::Cache;
use crate::packages::{self, Unpacked};
use crate::sources::Suite;
use crate::tsc;

/// How an emulated host's processor finds its guest's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Npt {
    /// It walks two levels of page tables; a walk of the guest's counts as a write to them.
    On,
    /// Its kernel keeps shadow page tables.
    Off,
}

impl Npt {
    /// The value of `kvm_amd`'s parameter.
    pub(crate) const fn parameter(self) -> u8 {
        match self {
            Self::On => 1,
            Self::Off => 0,
        }
    }

    /// The processor: what boots a guest differs.
    const fn processor(self) -> &'static str {
        match self {
            Self::On => "max",
            Self::Off => "EPYC-v3,+svm",
        }
    }
}

/// QEMU, of the version that serves.
#[derive(Debug, Clone)]
pub(crate) struct Qemu(Unpacked);

impl Qemu {
    /// Takes it from the cache, or fetches it. Nested paging wants a newer one, which hangs less;
    /// shadow paging works in the older one only.
    pub(crate) fn fetch(cache: &Cache, npt: Npt) -> anyhow::Result<Self> {
        let (name, suite) = match npt {
            Npt::On => ("qemu", Suite::Backports),
            Npt::Off => ("qemu-for-shadow-paging", Suite::Stable),
        };
        packages::whole(cache, name, suite, &["qemu-system-x86"]).map(Self)
    }

    /// What starts an emulated host. It ends when this thread does.
    pub(crate) fn command(&self, machine: &Machine<'_>) -> Command {
        let emulator = self.0.command("usr/bin/qemu-system-x86_64");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        command
            .arg(emulator.get_program())
            .args(emulator.get_args());
        for data in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(self.0.path(data));
        }
        command.args(machine.arguments());
        let modules = self.0.path("usr/lib/x86_64-linux-gnu/qemu");
        command.env("QEMU_MODULE_DIR", modules);
        command
    }
}

/// One emulated machine.
#[derive(Debug, Clone)]
pub(crate) struct Machine<'a> {
    /// How its processor finds its guest's memory.
    pub(crate) npt: Npt,
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
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut say = |option: &str, value: OsString| {
            arguments.extend([OsString::from(option), value]);
        };
        say("-display", "none".into());
        say("-serial", "stdio".into());
        say("-machine", "q35".into());
        say("-accel", "tcg,thread=multi,tb-size=512".into());
        say("-cpu", self.npt.processor().into());
        say("-smp", self.cpus.to_string().into());
        say("-m", self.memory.to_string().into());
        say("-kernel", self.kernel.into());
        say("-initrd", self.initrd.into());
        say("-append", self.command_line().into());
        if let Some(socket) = &self.network {
            let net = "stream,id=net,server=off,addr.type=unix,addr.path=";
            let mut net = OsString::from(net);
            net.push(socket);
            say("-netdev", net);
            let address = format!("52:54:00:00:00:{:02x}", self.index + 1);
            let card = format!("virtio-net-pci,netdev=net,rombar=0,mac={address}");
            say("-device", card.into());
        }
        arguments.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(OsString::from));
        arguments
    }

    /// Its clock is its time-stamp counter, as reading another one would be slow. The counter is this
    /// machine's; an emulated one that finds out its frequency by itself errs on a busy machine.
    fn command_line(&self) -> String {
        let (npt, index, more) = (self.npt.parameter(), self.index, self.command_line);
        format!(
            "console=ttyS0 quiet panic=-1 tsc=reliable tsc_early_khz={} lab.npt={npt} \
             lab.host={index} {more}",
            tsc::cycles_per_ms()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(npt: Npt, network: Option<PathBuf>) -> String {
        let (kernel, initrd) = (Path::new("/k"), Path::new("/i"));
        let machine = Machine {
            npt,
            cpus: 3,
            memory: 512,
            kernel,
            initrd,
            index: 1,
            command_line: "lab=cpus",
            network,
        };
        let arguments = machine.arguments();
        let arguments = arguments.iter().map(|part| part.to_str().unwrap());
        arguments.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn shadow_paging_is_asked_for_with_the_processor_that_boots_guests_with_it() {
        let off = line(Npt::Off, None);
        assert!(off.contains("-cpu EPYC-v3,+svm ") && off.contains(" lab.npt=0 "));
        let on = line(Npt::On, None);
        assert!(on.contains("-cpu max ") && on.contains(" lab.npt=1 "));
        assert!(on.contains(" lab.host=1 lab=cpus "));
        assert!(on.contains("-smp 3 -m 512 -kernel /k -initrd /i "));
    }

    #[test]
    fn a_host_alone_has_no_network_card() {
        assert!(!line(Npt::On, None).contains("-netdev"));
        let joined = line(Npt::On, Some("/tmp/hub".into()));
        assert!(joined.contains("addr.path=/tmp/hub -device virtio-net-pci"));
        assert!(joined.contains("mac=52:54:00:00:00:02"));
    }
}
