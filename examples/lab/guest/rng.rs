//! Randomness from the device.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read as _;

use anyhow::{Context as _, ensure};

use crate::everywhere::everywhere;
use crate::options::Options;

const DEVICE: &str = "/dev/hwrng";
/// The device that the kernel reads.
const CURRENT: &str = "/sys/class/misc/hw_random/rng_current";
/// Bytes that each processor reads, in blocks none of which comes twice but by a chance of 2^-100.
const BYTES: usize = 1024;
const BLOCK: usize = 16;

/// Every processor reads from the device, and nothing comes twice.
pub(crate) fn rng(_: &Options) -> anyhow::Result<String> {
    let current = fs::read_to_string(CURRENT).context("the kernel has no such devices")?;
    let current = current.trim();
    ensure!(
        current.starts_with("virtio_rng"),
        "the kernel reads {current:?}"
    );
    let read = everywhere(|_, _| {
        let mut bytes = vec![0; BYTES];
        File::open(DEVICE)?.read_exact(&mut bytes)?;
        Ok(bytes)
    })?;
    let blocks = distinct(&read)?;
    Ok(format!("{blocks} blocks of {current}, no two alike"))
}

/// How many blocks there are, all of them different.
fn distinct(read: &[Vec<u8>]) -> anyhow::Result<usize> {
    let blocks = || read.iter().flat_map(|bytes| bytes.chunks(BLOCK));
    let (all, different) = (blocks().count(), blocks().collect::<HashSet<_>>().len());
    ensure!(
        all == different,
        "of {all} blocks {different} are different"
    );
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_is_seen() {
        let block = |first| (first..).take(BLOCK).collect::<Vec<u8>>();
        assert_eq!(distinct(&[block(0), block(1)]).unwrap(), 2);
        assert!(distinct(&[block(0), [block(1), block(0)].concat()]).is_err());
    }
}
