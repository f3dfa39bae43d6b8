//! Whether this host can serve, in one clear line, before anything is started.

use anyhow::{Context as _, bail, ensure};
use giantvm_dsm::uffd::Support;

use crate::cli::VcpuKind;
use crate::exit::{Exit, Fatal, OrExit};
use crate::task::Task;

const MORE: &str = "`cargo run --release --example doctor` tells more";

/// Checks what the task needs of this host.
pub(crate) fn check(task: &Task) -> Result<(), Fatal> {
    memory_can_be_shared()
        .and_then(|()| memory_is_there(task.spec.memory()))
        .and_then(|()| match task.plan.vcpu {
            VcpuKind::Kvm => kvm_opens(),
            VcpuKind::Thread => Ok(()),
        })
        .or_exit(Exit::Host)
}

fn memory_can_be_shared() -> anyhow::Result<()> {
    let failed = Support::probe()
        .checks()
        .into_iter()
        .take(2)
        .find(|check| !check.ok);
    match failed {
        Some(check) => bail!("{}: {}; {MORE}", check.what, check.detail),
        None => Ok(()),
    }
}

fn kvm_opens() -> anyhow::Result<()> {
    std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map(drop)
        .with_context(|| {
            format!("/dev/kvm cannot be opened: run as root on a host with KVM, or use --vcpu thread; {MORE}")
        })
}

/// The nodes of one host share its memory, and together they hold at least the guest's.
fn memory_is_there(wanted: u64) -> anyhow::Result<()> {
    let text = std::fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let available = kib.map_or(u64::MAX, |kib| kib.saturating_mul(1 << 10));
    ensure!(
        wanted <= available,
        "the guest has {} MiB of memory, this host only {} MiB to give: use less with --memory",
        wanted >> 20,
        available >> 20
    );
    Ok(())
}
