//! Whether two nodes are on one host, and may share memory.

use std::os::unix::fs::MetadataExt as _;

use xxhash_rust::xxh3::xxh3_64;

/// Names this host as far as sharing goes: the running kernel, the network namespace, which is where
/// the socket is found that hands the memory over, and the user. 0 if any of them is unknown, and
/// then nothing is shared.
pub(crate) fn key() -> u64 {
    let Ok(boot) = std::fs::read("/proc/sys/kernel/random/boot_id") else {
        return 0;
    };
    let Ok(network) = std::fs::metadata("/proc/self/ns/net") else {
        return 0;
    };
    let user = rustix::process::geteuid().as_raw();
    let mut name = boot;
    name.extend_from_slice(&network.dev().to_le_bytes());
    name.extend_from_slice(&network.ino().to_le_bytes());
    name.extend_from_slice(&user.to_le_bytes());
    xxh3_64(&name)
}
