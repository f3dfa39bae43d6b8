//! The first disk, read by all processors.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::everywhere::everywhere;
use crate::options::Options;

const DISK: &str = "/dev/vda";

/// Every processor reads the whole disk, and its sum must be what the host says.
pub(crate) fn disk(options: &Options) -> anyhow::Result<String> {
    let expected = options.disk.as_deref().context("lab.disk is not given")?;
    let sectors = fs::read_to_string("/sys/block/vda/size").context("there is no disk")?;
    // What is read from now on comes from the disk.
    fs::write("/proc/sys/vm/drop_caches", "3")?;
    let read = everywhere(|_, _| {
        let output = Command::new("/bin/sha256sum").arg(DISK).output()?;
        ensure!(
            output.status.success(),
            "sha256sum ended with {}",
            output.status
        );
        let text = String::from_utf8_lossy(&output.stdout);
        let sum = text.split_whitespace().next().unwrap_or_default();
        ensure!(sum == expected, "the sum is {sum}, not {expected}");
        Ok(())
    })?;
    let sectors: u64 = sectors.trim().parse()?;
    Ok(format!("{} KiB, read by {}", sectors / 2, read.len()))
}
