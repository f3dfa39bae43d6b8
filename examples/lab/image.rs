//! The first file systems of emulated hosts and of their guests.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::cpio::Archive;
use crate::kernel::Kernel;
use crate::packages::{LINKER, Unpacked};
use crate::scenario::Scenario;
use crate::script::script;

const HOST_INIT: &[u8] = include_bytes!("host-init.sh");
const GUEST_INIT: &[u8] = include_bytes!("guest-init.sh");
/// What an emulated host's kernel has to load, in this order.
const HOST_MODULES: &[&str] = &["virtio_pci", "virtio_net", "tun", "kvm_amd", "kvm_intel"];

/// What a guest's kernel has to load: devices that may be there.
const GUEST_MODULES: &[&str] = &[
    "virtio_mmio",
    "virtio_blk",
    "virtio_net",
    "virtio_console",
    "virtio_rng",
];
/// Programs of packages that a guest runs, and the libraries they need.
const GUEST_TOOLS: [&str; 2] = ["lscpu", "numactl"];
const GUEST_LIBRARIES: [&str; 3] = ["libc.so.6", "libnuma.so.1", "libsmartcols.so.1"];

/// What a guest has.
pub(crate) fn guest(
    tools: &Unpacked,
    kernel: &Kernel,
    programs: &[(&str, &Path)],
) -> anyhow::Result<Vec<u8>> {
    let mut archive = base(tools)?;
    archive.program("init", GUEST_INIT);
    for (name, path) in programs {
        archive.program(&format!("bin/{name}"), &read(path)?);
    }
    for tool in GUEST_TOOLS {
        let path = tools.path(&format!("usr/bin/{tool}"));
        archive.program(&format!("bin/{tool}"), &read(&path)?);
    }
    archive.directory("lib").directory("lib64");
    archive.program(LINKER, &read(&tools.path(LINKER))?);
    archive.directory("lib/x86_64-linux-gnu");
    for library in GUEST_LIBRARIES {
        let path = tools.library(library)?;
        archive.program(&format!("lib/x86_64-linux-gnu/{library}"), &read(&path)?);
    }
    modules(&mut archive, kernel, GUEST_MODULES)?;
    Ok(archive.finish())
}

/// What a host has the same in all scenarios.
pub(crate) fn host(tools: &Unpacked, kernel: &Kernel) -> anyhow::Result<Vec<u8>> {
    let mut archive = base(tools)?;
    archive.program("init", HOST_INIT);
    modules(&mut archive, kernel, HOST_MODULES)?;
    Ok(archive.finish())
}

/// What a host has for one scenario, to be unpacked behind [`host`].
pub(crate) fn scenario(scenario: &Scenario, programs: &[(&str, &Path)]) -> anyhow::Result<Vec<u8>> {
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
    Ok(archive.finish())
}

/// Linux for a host's guest, to be unpacked behind [`scenario`].
pub(crate) fn linux(kernel: &Path, guest: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.file("lab/vmlinux", &read(kernel)?);
    archive.file("lab/guest.cpio", guest);
    Ok(archive.finish())
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
