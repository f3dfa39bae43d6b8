//! Which threads there are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use giantvm_sched::schedule::MAX_THREADS;

/// Where a system has cgroups, version 2; the second beside version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// How deep below a cgroup others are looked for.
const DEEPEST: u32 = 8;

/// Whose threads are placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A process.
    Process(u32),
    /// A cgroup, and those below it.
    Cgroup(PathBuf),
}

impl Scope {
    /// The cgroup of this process.
    pub(crate) fn own() -> anyhow::Result<Self> {
        let text = fs::read_to_string("/proc/self/cgroup")?;
        let path = own(&text)
            .context("this process is in no cgroup of version 2: give --pid or --cgroup")?;
        let mut mounts = MOUNTS.iter().map(Path::new);
        let mount = mounts
            .find(|mount| mount.join("cgroup.procs").exists())
            .context("no cgroups of version 2 are mounted: give --pid")?;
        Ok(Self::Cgroup(mount.join(path)))
    }

    /// Whether there will be none any more: a process has ended, and its number may be another's next.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Self::Process(pid) => !Path::new(&format!("/proc/{pid}")).exists(),
            Self::Cgroup(_) => false,
        }
    }

    /// The threads that there are now, by their numbers: the first [`MAX_THREADS`].
    pub(crate) fn threads(&self) -> anyhow::Result<Vec<u32>> {
        let mut threads = match self {
            Self::Process(pid) => {
                let folder = format!("/proc/{pid}/task");
                let tasks = fs::read_dir(&folder)
                    .with_context(|| format!("there is no process {pid} any more"))?;
                let names = tasks.filter_map(Result::ok).map(|task| task.file_name());
                names
                    .filter_map(|name| name.to_str()?.parse().ok())
                    .collect()
            }
            Self::Cgroup(path) => {
                let mut threads = Vec::new();
                below(path, DEEPEST, &mut threads)
                    .with_context(|| format!("cannot read the cgroup {}", path.display()))?;
                threads
            }
        };
        threads.sort_unstable();
        threads.dedup();
        threads.truncate(MAX_THREADS);
        Ok(threads)
    }
}

/// The path of a process' cgroup, from what the kernel says of it.
fn own(text: &str) -> Option<&str> {
    let line = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(line)
}

fn below(path: &Path, depth: u32, threads: &mut Vec<u32>) -> std::io::Result<()> {
    let text = fs::read_to_string(path.join("cgroup.threads"))?;
    threads.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    if depth > 0 && threads.len() < MAX_THREADS {
        for entry in fs::read_dir(path)?.filter_map(Result::ok) {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                // One that goes meanwhile has no threads.
                below(&entry.path(), depth - 1, threads).ok();
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_of_version_2_is_told_apart_from_others() {
        assert_eq!(own("4:memory:/a\n0::/jobs/one\n"), Some("jobs/one"));
        assert_eq!(own("0::/\n"), Some(""));
        assert_eq!(own("4:memory:/a\n"), None);
    }

    #[test]
    fn threads_of_a_cgroup_are_those_of_all_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        for (path, text) in [
            (folder.path(), "7\n3\n"),
            (&inner, "9\n"),
            (&folder.path().join("a"), "3\n"),
        ] {
            fs::write(path.join("cgroup.threads"), text).unwrap();
        }
        let scope = Scope::Cgroup(folder.path().to_owned());
        assert_eq!(scope.threads().unwrap(), [3, 7, 9]);
        assert!(Scope::Cgroup(folder.path().join("none")).threads().is_err());
    }

    #[test]
    fn threads_of_a_process_are_its_tasks() {
        let this = rustix::thread::gettid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        let scope = Scope::Process(std::process::id());
        assert!(scope.threads().unwrap().contains(&this));
        assert!(!Scope::Process(std::process::id()).has_ended());
        let none = Scope::Process(u32::MAX);
        assert!(none.threads().is_err() && none.has_ended());
    }
}
