//! The kernel, privileges and memory of this host.

use std::fs;

use crate::finding::{Finding, Verdict};

/// The oldest kernel on which all of it works; the features are probed one by one besides.
const OLDEST: (u32, u32) = (5, 7);
const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

pub(crate) fn kernel() -> Finding {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = text.trim();
    let what = format!("Linux {release} on {}", std::env::consts::ARCH);
    let (major, minor) = OLDEST;
    if version(release) < OLDEST {
        let mend = format!("use Linux {major}.{minor} or newer");
        return Finding::new(Verdict::Bad, what, mend);
    }
    let detail = format!("new enough: {major}.{minor} is the oldest that serves");
    Finding::new(Verdict::Good, what, detail)
}

fn version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

pub(crate) fn privileges() -> Finding {
    let what = "privileges";
    let allowed = fs::read_to_string("/proc/sys/vm/unprivileged_userfaultfd")
        .is_ok_and(|text| text.trim() == "1");
    if rustix::process::geteuid().is_root() {
        Finding::new(Verdict::Good, what, "running as root")
    } else if allowed {
        Finding::new(Verdict::Good, what, "vm.unprivileged_userfaultfd is 1")
    } else {
        let detail = "not root: if userfaultfd is refused below, run as root, or \
                      `sysctl vm.unprivileged_userfaultfd=1`";
        Finding::new(Verdict::Poor, what, detail)
    }
}

pub(crate) fn memory(wanted_mib: u64) -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let Some(mib) = available_mib(&text) else {
        let detail = "/proc/meminfo does not say what is available";
        return Finding::new(Verdict::Poor, "memory", detail);
    };
    let what = format!("memory: {mib} MiB available");
    if mib < wanted_mib {
        let mend = format!(
            "a node may come to hold all {wanted_mib} MiB of guest memory: free some, or give \
             the guest less"
        );
        Finding::new(Verdict::Bad, what, mend)
    } else {
        let detail = format!("enough for {wanted_mib} MiB of guest memory");
        Finding::new(Verdict::Good, what, detail)
    }
}

fn available_mib(meminfo: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let available = lines.find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = available.split_whitespace().next()?.parse().ok()?;
    Some(kib >> 10)
}

/// A huge page would show what was never fetched. Every mapping refuses them, which only the
/// setting `force` overrides.
pub(crate) fn huge_pages() -> Finding {
    let what = "transparent huge pages on shared memory";
    match fs::read_to_string(HUGE_PAGES) {
        Ok(text) if text.contains("[force]") => {
            let mend = format!("forced on all mappings: `echo advise > {HUGE_PAGES}`");
            Finding::new(Verdict::Bad, what, mend)
        }
        Ok(_) => Finding::new(
            Verdict::Good,
            what,
            "not forced, and every mapping refuses them",
        ),
        Err(_) => Finding::new(Verdict::Good, what, "this kernel has none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_all_kinds_are_read() {
        assert_eq!(version("6.1.0-13-amd64"), (6, 1));
        assert_eq!(version("5.7-rc3"), (5, 7));
        assert_eq!(version("6.18"), (6, 18));
        assert_eq!(version("who knows"), (0, 0));
    }

    #[test]
    fn available_memory_is_found_among_the_rest() {
        let text = "MemTotal: 9 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(available_mib(text), Some(2));
        assert_eq!(available_mib("MemAvailable: lots"), None);
    }

    #[test]
    fn every_check_answers_on_this_host() {
        for finding in [kernel(), privileges(), memory(0), huge_pages()] {
            assert!(!finding.what.is_empty() && !finding.detail.is_empty());
        }
        assert_eq!(memory(u64::MAX).verdict, Verdict::Bad);
    }
}
