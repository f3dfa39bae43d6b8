//! What the host tells by its channel, to a user without rights.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::everywhere::{everywhere, online};
use crate::options::Options;

pub(crate) const AGENT: &str = "/bin/agent";
const PORTS: &str = "/sys/class/virtio-ports";
const NAME: &str = "giantvm.channel";
/// A user and a group that own nothing else.
const NO_ONE: u32 = 1000;

/// The agent runs as a user who is in the channel's group, while every processor works.
pub(crate) fn channel(options: &Options) -> anyhow::Result<String> {
    let device = open_to_no_one()?;
    everywhere(|_, _| Ok(std::hint::black_box((0..50_000_000_u64).sum::<u64>())))?;
    let told = agent(&["--once"])?;
    let (cpus, nodes) = (online()?.len(), options.nodes.unwrap_or(1));
    let machine = format!("of {cpus} vCPUs on {nodes} nodes");
    ensure!(told.contains(&machine), "the host tells of another machine");
    let this = std::process::id().to_string();
    let looked = agent(&["--dry-run", "--pid", &this, "--looks", "8"])?;
    ensure!(looked.contains("moves nothing"), "the agent does not look");
    let first = told.lines().next().unwrap_or_default();
    Ok(format!("{}: {first}", device.display()))
}

/// Gives the channel to the group of a user who owns nothing else, as a rule for udev does elsewhere.
/// Returns its device.
pub(crate) fn open_to_no_one() -> anyhow::Result<PathBuf> {
    let device = device(Path::new(PORTS))?;
    chown(&device, None, Some(NO_ONE))?;
    fs::set_permissions(&device, Permissions::from_mode(0o660))?;
    Ok(device)
}

/// Has that user run a command.
pub(crate) fn as_no_one(command: &mut Command) -> &mut Command {
    command.uid(NO_ONE).gid(NO_ONE)
}

/// The device of the port with the channel's name.
fn device(ports: &Path) -> anyhow::Result<PathBuf> {
    for port in fs::read_dir(ports).context("the kernel has no such ports")? {
        let port = port?;
        let name = fs::read_to_string(port.path().join("name"));
        if name.is_ok_and(|name| name.trim_end() == NAME) {
            return Ok(Path::new("/dev").join(port.file_name()));
        }
    }
    anyhow::bail!("no port is named {NAME}")
}

fn agent(arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(AGENT);
    let output = as_no_one(command.args(arguments)).output()?;
    let (said, complains) = (output.stdout, output.stderr);
    let said = String::from_utf8_lossy(&said).into_owned();
    for line in said.lines() {
        println!("agent: {line}");
    }
    let complains = String::from_utf8_lossy(&complains);
    ensure!(output.status.success(), "{}", complains.trim_end());
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        assert!(device(folder.path()).is_err());
        for (port, name) in [("vport2p0", NAME), ("vport1p0", "other")] {
            fs::create_dir(folder.path().join(port)).unwrap();
            fs::write(folder.path().join(port).join("name"), format!("{name}\n")).unwrap();
        }
        assert_eq!(device(folder.path()).unwrap(), Path::new("/dev/vport2p0"));
        assert!(device(Path::new("/nowhere")).is_err());
    }
}
