//! A file that comes over the network, for all processors.

use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::everywhere::everywhere;
use crate::options::Options;

/// Where the host is, and this guest, on the network that joins them.
const HOST: &str = "198.18.1.1";
const GUEST: &str = "198.18.1.2/24";

/// Every processor fetches the file, and its sum must be what the host says.
pub(crate) fn net(options: &Options) -> anyhow::Result<String> {
    let expected = options.net.as_deref().context("lab.net is not given")?;
    sh(&format!(
        "ip address add {GUEST} dev eth0 && ip link set eth0 up"
    ))?;
    let fetched = everywhere(|number, _| {
        let file = format!("/file{number}");
        sh(&format!("wget -T 60 -O {file} http://{HOST}/file"))?;
        let text = sh(&format!("sha256sum {file}"))?;
        let sum = text.split_whitespace().next().unwrap_or_default();
        ensure!(sum == expected, "the sum is {sum}, not {expected}");
        Ok(())
    })?;
    Ok(format!("fetched by {}", fetched.len()))
}

fn sh(script: &str) -> anyhow::Result<String> {
    let output = Command::new("/bin/sh").args(["-c", script]).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{script}: {}", complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
