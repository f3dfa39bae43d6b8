//! All that scenarios need, from Debian's packages and the project's own sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::binaries;
use crate::cache::Cache;
use crate::emulators::{Emulator, Paging};
use crate::image;
use crate::kernel::Kernel;
use crate::packages::{self, Unpacked};
use crate::scenario::{Role, Scenario};
use crate::sources::Suite;

/// Programs from packages for hosts, for their guests and for the lab itself.
const TOOLS: &[&str] = &["busybox-static", "xz-utils", "numactl", "util-linux"];
const HOST_KERNEL: &str = "linux-image-amd64";
/// What kvm_amd needs.
const HOST_MODULES: [&str; 1] = ["*/kernel/drivers/crypto/ccp/*"];
/// It lacks the drivers of what no guest has.
const GUEST_KERNEL: &str = "linux-image-cloud-amd64";
/// The project's programs: for hosts, and for guests.
const HOST_PROGRAMS: [&str; 2] = ["aggregate", "doctor"];
const GUEST_PROGRAMS: [&str; 2] = ["lab_guest", "agent"];

/// What was fetched and built.
#[derive(Debug)]
pub(crate) struct Fetched {
    cache: Cache,
    programs: BTreeMap<String, PathBuf>,
    host: Kernel,
    guest: Kernel,
    tools: Unpacked,
}

/// What an emulated machine boots from.
#[derive(Debug)]
pub(crate) struct Boot {
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: NamedTempFile,
}

impl Fetched {
    /// Fetches and builds what is not there yet.
    pub(crate) fn fetch(cache: Cache) -> anyhow::Result<Self> {
        let tools = packages::whole(&cache, "tools", Suite::Stable, TOOLS)?;
        let kernel = |meta, more| Kernel::new(packages::kernel(&cache, meta, more)?);
        let host = kernel(HOST_KERNEL, &HOST_MODULES)?;
        let guest = kernel(GUEST_KERNEL, &[])?;
        let programs = binaries::build(&[HOST_PROGRAMS, GUEST_PROGRAMS].concat())?;
        Ok(Self {
            cache,
            programs,
            host,
            guest,
            tools,
        })
    }

    /// What emulates a host with a kind of paging.
    pub(crate) fn emulator(&self, paging: Paging) -> anyhow::Result<Emulator> {
        Emulator::fetch(&self.cache, paging)
    }

    /// What a scenario's machines boot from.
    pub(crate) fn boot(&self, scenario: &Scenario, role: Role) -> anyhow::Result<Boot> {
        let (kernel, image) = match role {
            Role::Guest => (&self.guest, self.guest_image()?),
            Role::Host | Role::LinuxHost => (&self.host, self.host_image(scenario, role)?),
        };
        let initrd = NamedTempFile::new()?;
        fs::write(initrd.path(), image)?;
        let kernel = kernel.program(&self.tools)?;
        Ok(Boot { kernel, initrd })
    }

    fn named<const N: usize>(&self, names: [&'static str; N]) -> [(&'static str, &Path); N] {
        names.map(|name| (name, &*self.programs[name]))
    }

    fn guest_image(&self) -> anyhow::Result<Vec<u8>> {
        image::guest(&self.tools, &self.guest, &self.named(GUEST_PROGRAMS))
    }

    fn host_image(&self, scenario: &Scenario, role: Role) -> anyhow::Result<Vec<u8>> {
        let mut image = image::host(&self.tools, &self.host)?;
        image.extend(image::scenario(scenario, &self.named(HOST_PROGRAMS))?);
        if role == Role::LinuxHost {
            let kernel = self.guest.program(&self.tools)?;
            image.extend(image::linux(&kernel, &self.guest_image()?)?);
        }
        Ok(image)
    }
}
