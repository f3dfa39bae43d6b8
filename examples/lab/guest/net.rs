//! A file that comes over the network, for all processors.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::everywhere::everywhere;
use crate::options::Options;

/// Where the host gives the file away.
const HOST: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 18, 1, 1), 80);
/// Where this guest is.
const GUEST: &str = "198.18.1.2/24";
/// A network that says nothing for so long is broken.
const PATIENCE: Duration = Duration::from_secs(60);
/// The host's file is smaller.
const MOST: u64 = 64 << 20;

/// Every processor fetches the file, and its sum must be what the host says.
pub(crate) fn net(options: &Options) -> anyhow::Result<String> {
    let expected = options.net.as_deref().context("lab.net is not given")?;
    run("ip", &["address", "add", GUEST, "dev", "eth0"])?;
    run("ip", &["link", "set", "eth0", "up"])?;
    let sizes = everywhere(|number, _| {
        let file = fetch("/file")?;
        // The sum is another program's: what is checked is not who checks.
        let path = format!("/fetched{number}");
        fs::write(&path, &file)?;
        let sum = run("sha256sum", &[&path])?;
        fs::remove_file(&path)?;
        let sum = sum.split_whitespace().next().unwrap_or_default();
        ensure!(sum == expected, "the sum is {sum}, not {expected}");
        Ok(file.len())
    })?;
    Ok(format!("{} KiB in all", sizes.iter().sum::<usize>() >> 10))
}

/// A file of the host's.
fn fetch(path: &str) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&HOST.into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    body(&answer).context("the host's answer has no end of its head")
}

/// What an answer is about.
fn body(answer: &[u8]) -> Option<Vec<u8>> {
    let mark = b"\r\n\r\n";
    let at = answer.windows(mark.len()).position(|bytes| bytes == mark)?;
    Some(answer[at + mark.len()..].to_vec())
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    ensure!(
        status.success(),
        "{program}: {status}: {}",
        complaint.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_follows_the_first_empty_line() {
        let answer = b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nfile\r\n\r\nend";
        assert_eq!(body(answer).unwrap(), b"file\r\n\r\nend");
        assert_eq!(body(b"HTTP/1.0 200 OK\r\n"), None);
    }
}
