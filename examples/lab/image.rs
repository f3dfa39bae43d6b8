//! The first file systems of emulated hosts and of their guests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cpio::Archive;
use crate::kernel::Kernel;
use crate::packages::Unpacked;
use crate::scenario::Scenario;
use crate::script::script;

const HOST_INIT: &[u8] = include_bytes!("host-init.sh");
/// What an emulated host's kernel has to load, in this order.
const HOST_MODULES: &[&str] = &["virtio_pci", "virtio_net", "tun", "kvm_amd"];

/// What a host has the same in all scenarios.
pub(crate) fn host(tools: &Unpacked, kernel: &Kernel) -> anyhow::Result<Vec<u8>> {
    let mut archive = base(tools)?;
    archive.program("init", HOST_INIT);
    modules(&mut archive, kernel, HOST_MODULES)?;
    Ok(archive.finish())
}

/// What a host has for one scenario, to be unpacked behind [`host`].
pub(crate) fn scenario(
    scenario: &Scenario,
    programs: &BTreeMap<String, PathBuf>,
    guest: Option<&Guest>,
) -> anyhow::Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.directory("lab");
    for (index, host) in scenario.hosts.iter().enumerate() {
        let script = script(host.steps);
        archive.file(&format!("lab/run{index}.sh"), script.as_bytes());
    }
    for (name, content) in scenario.files {
        archive.file(&format!("lab/{name}"), content.as_bytes());
    }
    for (name, path) in programs {
        archive.program(&format!("lab/{name}"), &read(path)?);
    }
    if let Some(Guest { kernel, initrd }) = guest {
        archive.file("lab/vmlinux", &read(kernel)?);
        archive.file("lab/guest.cpio", &read(initrd)?);
    }
    Ok(archive.finish())
}

/// What a guest of `aggregate` boots from.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: PathBuf,
}

/// A file system with a shell.
fn base(tools: &Unpacked) -> anyhow::Result<Archive> {
    let mut archive = Archive::default();
    for directory in ["bin", "dev", "proc", "sys", "tmp", "modules"] {
        archive.directory(directory);
    }
    archive.program("bin/busybox", &read(&tools.path("bin/busybox"))?);
    Ok(archive)
}

/// Modules, named so that they load in their order.
fn modules(archive: &mut Archive, kernel: &Kernel, names: &[&str]) -> anyhow::Result<()> {
    for (number, (name, content)) in kernel.modules(names)?.into_iter().enumerate() {
        archive.file(&format!("modules/{number:02}-{name}.ko"), &content);
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
