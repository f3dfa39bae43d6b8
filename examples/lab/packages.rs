//! What the lab takes from Debian's packages, unpacked in its cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::apt::Apt;
use crate::cache::Cache;
use crate::progress::Step;
use crate::sources::Suite;
use crate::tool;

/// Libraries are in these directories of an unpacked package.
const LIBRARIES: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];
/// The dynamic linker in an unpacked C library.
pub(crate) const LINKER: &str = "lib64/ld-linux-x86-64.so.2";

/// Of a kernel's package, what the lab can have use for.
const KERNEL_PARTS: [&str; 10] = [
    "./boot/vmlinuz-*",
    "*/kernel/virt/*",
    "*/kernel/arch/x86/kvm/*",
    "*/kernel/net/core/*",
    "*/kernel/drivers/virtio/*",
    "*/kernel/drivers/block/virtio_blk.ko",
    "*/kernel/drivers/net/virtio_net.ko",
    "*/kernel/drivers/net/net_failover.ko",
    "*/kernel/drivers/net/tun.ko",
    "*/kernel/drivers/char/*",
];

/// Packages with all they depend on, unpacked in a directory of their own.
#[derive(Debug, Clone)]
pub(crate) struct Unpacked(PathBuf);

impl Unpacked {
    /// A file of the packages.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A library of the packages.
    pub(crate) fn library(&self, name: &str) -> anyhow::Result<PathBuf> {
        let mut paths = LIBRARIES
            .map(|directory| self.path(directory).join(name))
            .into_iter();
        paths
            .find(|path| path.exists())
            .with_context(|| format!("no package has {name}"))
    }

    /// A program of the packages, which runs with their libraries.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path(LINKER));
        let libraries = LIBRARIES.map(|directory| self.path(directory).display().to_string());
        command.args(["--library-path", &libraries.join(":")]);
        command.arg(self.path(name));
        command
    }
}

/// Packages with all they depend on.
pub(crate) fn whole(
    cache: &Cache,
    name: &str,
    suite: Suite,
    packages: &[&str],
) -> anyhow::Result<Unpacked> {
    let fill = |into: &Path| {
        let apt = Apt::prepare(cache)?;
        let suite = if apt.has(suite) { suite } else { Suite::Stable };
        let archives = tempfile::tempdir_in(cache.path(""))?;
        apt.fetch_whole(suite, packages, archives.path())?;
        extract(archives.path(), &[], into)
    };
    Ok(Unpacked(cache.directory(name, fill)?))
}

/// The kernel that a meta package stands for: its image, some modules, and what matches `more`.
pub(crate) fn kernel(cache: &Cache, meta: &str, more: &[&str]) -> anyhow::Result<PathBuf> {
    cache.directory(meta, |into| {
        let apt = Apt::prepare(cache)?;
        let archives = tempfile::tempdir_in(cache.path(""))?;
        apt.fetch(&apt.kernel(meta)?, archives.path())?;
        extract(archives.path(), &[&KERNEL_PARTS, more].concat(), into)
    })
}

/// Unpacks all packages of a directory, or what matches `wanted` of them.
fn extract(archives: &Path, wanted: &[&str], into: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(archives)?.collect::<Result<Vec<_>, _>>()?;
    let paths = entries.into_iter().map(|entry| entry.path());
    let packages: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "deb"))
        .collect();
    if packages.is_empty() {
        bail!("apt has fetched nothing");
    }
    let _step = Step::start(&format!("unpack {} packages", packages.len()));
    packages
        .iter()
        .try_for_each(|package| extract_one(package, wanted, into))
}

fn extract_one(package: &Path, wanted: &[&str], into: &Path) -> anyhow::Result<()> {
    let mut contents = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run dpkg-deb")?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "-C"]).arg(into);
    if !wanted.is_empty() {
        tar.arg("--wildcards").args(wanted);
    }
    if let Some(stdout) = contents.stdout.take() {
        tar.stdin(stdout);
    }
    let unpacked = tool::output(&mut tar);
    let read = contents.wait()?;
    unpacked.with_context(|| format!("cannot unpack {}", package.display()))?;
    if !read.success() {
        bail!("cannot read {}", package.display());
    }
    Ok(())
}
