//! QEMU, and how it is asked for a host.

use std::ffi::OsString;
use std::process::Command;

use super::Machine;
use crate::cache::Cache;
use crate::packages::{self, Unpacked};
use crate::sources::Suite;
use crate::tsc;

/// What a kind of paging needs.
#[derive(Debug)]
struct Version {
    /// Where the cache has it.
    name: &'static str,
    suite: Suite,
    /// The processor that boots guests.
    processor: &'static str,
}

/// A newer one hangs less.
const NESTED: Version = Version {
    name: "qemu",
    suite: Suite::Backports,
    processor: "max",
};
/// Shadow paging works in the older one only.
const SHADOW: Version = Version {
    name: "qemu-for-shadow-paging",
    suite: Suite::Stable,
    processor: "EPYC-v3,+svm",
};

/// QEMU, of the version that serves.
#[derive(Debug, Clone)]
pub(crate) struct Qemu {
    files: Unpacked,
    version: &'static Version,
}

impl Qemu {
    /// For nested paging, from the cache or fetched.
    pub(super) fn nested(cache: &Cache) -> anyhow::Result<Self> {
        Self::fetch(cache, &NESTED)
    }

    /// For shadow paging, from the cache or fetched.
    pub(super) fn shadow(cache: &Cache) -> anyhow::Result<Self> {
        Self::fetch(cache, &SHADOW)
    }

    fn fetch(cache: &Cache, version: &'static Version) -> anyhow::Result<Self> {
        let files = packages::whole(cache, version.name, version.suite, &["qemu-system-x86"])?;
        Ok(Self { files, version })
    }

    /// What starts an emulated host.
    pub(super) fn command(&self, machine: &Machine<'_>) -> Command {
        let mut command = self.files.command("usr/bin/qemu-system-x86_64");
        for data in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(self.files.path(data));
        }
        command.args(arguments(machine, self.version));
        let modules = self.files.path("usr/lib/x86_64-linux-gnu/qemu");
        command.env("QEMU_MODULE_DIR", modules);
        command
    }
}

fn arguments(machine: &Machine<'_>, version: &Version) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut say = |option: &str, value: OsString| {
        arguments.extend([OsString::from(option), value]);
    };
    say("-display", "none".into());
    say("-serial", "stdio".into());
    say("-machine", "q35".into());
    say("-accel", "tcg,thread=multi,tb-size=512".into());
    say("-cpu", version.processor.into());
    say("-smp", machine.cpus.to_string().into());
    say("-m", machine.memory.to_string().into());
    say("-kernel", machine.kernel.into());
    say("-initrd", machine.initrd.into());
    say("-append", machine.command_line(tsc::cycles_per_ms()).into());
    if let Some(socket) = &machine.network {
        let net = "stream,id=net,server=off,addr.type=unix,addr.path=";
        let mut net = OsString::from(net);
        net.push(socket);
        say("-netdev", net);
        let address = format!("52:54:00:00:00:{:02x}", machine.index + 1);
        let card = format!("virtio-net-pci,netdev=net,rombar=0,mac={address}");
        say("-device", card.into());
    }
    arguments.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(OsString::from));
    arguments
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::Paging;
    use super::*;

    fn line(paging: Paging, version: &Version, network: Option<PathBuf>) -> String {
        let (kernel, initrd) = (Path::new("/k"), Path::new("/i"));
        let machine = Machine {
            paging,
            cpus: 3,
            memory: 512,
            kernel,
            initrd,
            index: 1,
            command_line: "lab=cpus",
            network,
        };
        let arguments = arguments(&machine, version);
        let arguments = arguments.iter().map(|part| part.to_str().unwrap());
        arguments.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn shadow_paging_is_asked_for_with_the_processor_that_boots_guests_with_it() {
        let off = line(Paging::Shadow, &SHADOW, None);
        assert!(off.contains("-cpu EPYC-v3,+svm ") && off.contains(" lab.paging=shadow "));
        let on = line(Paging::Nested, &NESTED, None);
        assert!(on.contains("-cpu max ") && on.contains(" lab.paging=nested "));
        assert!(on.contains(" lab.host=1 lab=cpus "));
        assert!(on.contains("-smp 3 -m 512 -kernel /k -initrd /i "));
    }

    #[test]
    fn a_host_alone_has_no_network_card() {
        assert!(!line(Paging::Nested, &NESTED, None).contains("-netdev"));
        let joined = line(Paging::Nested, &NESTED, Some("/tmp/hub".into()));
        assert!(joined.contains("addr.path=/tmp/hub -device virtio-net-pci"));
        assert!(joined.contains("mac=52:54:00:00:00:02"));
    }
}
