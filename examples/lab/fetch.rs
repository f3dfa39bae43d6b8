//! All that scenarios need, from Debian's packages and the project's own sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::binaries;
use crate::cache::Cache;
use crate::image;
use crate::kernel::Kernel;
use crate::packages::{self, Unpacked};
use crate::qemu::{Npt, Qemu};
use crate::scenario::Scenario;
use crate::sources::Suite;

/// Programs from packages for hosts, for their guests and for the lab itself.
const TOOLS: &[&str] = &["busybox-static", "xz-utils", "numactl", "util-linux"];
const HOST_KERNEL: &str = "linux-image-amd64";

/// What was fetched and built.
#[derive(Debug)]
pub(crate) struct Fetched {
    cache: Cache,
    programs: BTreeMap<String, PathBuf>,
    host: Kernel,
    tools: Unpacked,
}

impl Fetched {
    /// Fetches and builds what is not there yet.
    pub(crate) fn fetch(cache: Cache) -> anyhow::Result<Self> {
        let tools = packages::whole(&cache, "tools", Suite::Stable, TOOLS)?;
        let host = Kernel::new(packages::kernel(&cache, HOST_KERNEL)?)?;
        let programs = binaries::build(&["aggregate", "doctor"])?;
        Ok(Self {
            cache,
            programs,
            host,
            tools,
        })
    }

    /// QEMU for a kind of paging.
    pub(crate) fn qemu(&self, npt: Npt) -> anyhow::Result<Qemu> {
        Qemu::fetch(&self.cache, npt)
    }

    /// The program of a host's kernel.
    pub(crate) fn host_kernel(&self) -> anyhow::Result<PathBuf> {
        self.host.program(&self.tools)
    }

    /// Writes the first file system of a scenario's hosts.
    pub(crate) fn write_image(&self, scenario: &Scenario, path: &PathBuf) -> anyhow::Result<()> {
        let mut image = image::host(&self.tools, &self.host)?;
        image.extend(image::scenario(scenario, &self.programs, None)?);
        Ok(fs::write(path, image)?)
    }
}
