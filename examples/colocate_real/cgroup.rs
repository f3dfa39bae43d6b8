//! Hosts of this experiment: cgroups with a quota of processor time, each on a processor of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How many hosts there are.
pub(crate) const HOSTS: usize = 2;
/// What all our groups are called, before the process' number.
const NAME: &str = "giantvm-colocate-";
/// How often a quota is given anew, in microseconds. Tenants that need a processor have it for
/// milliseconds at a time.
const PERIOD: u64 = 10_000;
/// Ten times what the rest of the machine has by default, so that the quota is what holds a host up.
const SHARES: [&str; 2] = ["10240", "1000"];
/// What a kernel that divides real-time among groups lets real-time threads of all groups have of each
/// second, in microseconds. It gives a new group none, so that there are none in it.
const REAL_TIME: u32 = 800_000;
/// How long a group may take to be empty once its last thread has ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which cgroups the system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// A folder for each controller.
    One,
    /// One for all of them.
    Two,
}

/// A host.
#[derive(Debug)]
pub(crate) struct Host {
    version: Version,
    quota: PathBuf,
    /// Where its time is counted.
    account: PathBuf,
    processor: usize,
}

/// All hosts. They are taken away in the end.
#[derive(Debug)]
pub(crate) struct Hosts {
    pub(crate) hosts: [Host; HOSTS],
    /// The groups around theirs.
    parents: Vec<PathBuf>,
    /// Where this process was before.
    home: Option<PathBuf>,
}

impl Hosts {
    /// Makes the groups where cgroups are mounted.
    pub(crate) fn new(mount: &Path) -> anyhow::Result<Self> {
        let processors = processors()?;
        let version = version(mount)?;
        remove_stale(mount);
        let group = |controller: &str| {
            let folder = match version {
                Version::One => mount.join(controller),
                Version::Two => mount.to_owned(),
            };
            folder.join(format!("{NAME}{}", std::process::id()))
        };
        let (quota, account) = (group("cpu"), group("cpuacct"));
        let mut parents = vec![quota.clone(), account.clone()];
        parents.dedup();
        let host = |number: usize| Host {
            version,
            quota: quota.join(format!("host{number}")),
            account: account.join(format!("host{number}")),
            processor: processors[number],
        };
        let mut hosts = Self {
            hosts: [host(0), host(1)],
            parents,
            home: None,
        };
        hosts
            .make(mount)
            .with_context(|| format!("cannot make cgroups in {}", mount.display()))?;
        Ok(hosts)
    }

    fn make(&mut self, mount: &Path) -> anyhow::Result<()> {
        for parent in &self.parents {
            fs::create_dir(parent).or_else(exists)?;
        }
        if self.hosts[0].version == Version::Two {
            write(&mount.join("cgroup.subtree_control"), "+cpu")?;
            // Threads are divided only below a group that has their whole process.
            let own = fs::read_to_string("/proc/self/cgroup")?;
            let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
            self.home = own.map(|path| mount.join(path));
            write(&self.parents[0].join("cgroup.procs"), "0")?;
        }
        for host in &self.hosts {
            for folder in [&host.quota, &host.account] {
                fs::create_dir(folder).or_else(exists)?;
            }
            if host.version == Version::Two {
                write(&host.quota.join("cgroup.type"), "threaded")?;
            }
        }
        match self.hosts[0].version {
            Version::One => {
                write(&self.parents[0].join("cpu.shares"), SHARES[0])?;
                allow_real_time(&self.parents[0], REAL_TIME);
                for host in &self.hosts {
                    allow_real_time(&host.quota, REAL_TIME / 2);
                }
            }
            Version::Two => {
                write(&self.parents[0].join("cpu.weight"), SHARES[1])?;
                write(&self.parents[0].join("cgroup.subtree_control"), "+cpu")?;
            }
        }
        self.restore()
    }

    /// Leaves a whole processor to each host.
    pub(crate) fn restore(&self) -> anyhow::Result<()> {
        self.hosts.iter().try_for_each(|host| host.set_share(100))
    }

    /// The processor time that was used on all of them so far.
    pub(crate) fn used(&self) -> anyhow::Result<Duration> {
        self.hosts.iter().map(Host::used).sum()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            write(&home.join("cgroup.procs"), "0").ok();
        }
        let folders = self
            .hosts
            .iter()
            .flat_map(|host| [&host.quota, &host.account]);
        // A thread that has ended is in its group for a moment more.
        let start = Instant::now();
        for folder in folders.chain(&self.parents) {
            while folder.exists() && fs::remove_dir(folder).is_err() && start.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

impl Host {
    /// Has the calling thread, and those that it starts from now on, run here.
    pub(crate) fn enter(&self) -> anyhow::Result<()> {
        match self.version {
            Version::One => {
                write(&self.quota.join("tasks"), "0")?;
                write(&self.account.join("tasks"), "0")?;
            }
            Version::Two => write(&self.quota.join("cgroup.threads"), "0")?,
        }
        let mut set = CpuSet::new();
        set.set(self.processor);
        Ok(sched_setaffinity(None, &set)?)
    }

    /// What is left here from now on, in hundredths of a processor.
    pub(crate) fn set_share(&self, percent: u32) -> anyhow::Result<()> {
        let quota = u64::from(percent.clamp(10, 100)) * PERIOD / 100;
        match self.version {
            Version::One => {
                write(&self.quota.join("cpu.cfs_period_us"), &PERIOD.to_string())?;
                write(&self.quota.join("cpu.cfs_quota_us"), &quota.to_string())
            }
            Version::Two => write(&self.quota.join("cpu.max"), &format!("{quota} {PERIOD}")),
        }
    }

    /// The processor time that was used here so far.
    pub(crate) fn used(&self) -> anyhow::Result<Duration> {
        let text = |file: &str| -> anyhow::Result<String> {
            let path = self.account.join(file);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        Ok(match self.version {
            Version::One => Duration::from_nanos(text("cpuacct.usage")?.trim().parse()?),
            Version::Two => {
                let stat = text("cpu.stat")?;
                let usage = stat
                    .lines()
                    .find_map(|line| line.strip_prefix("usage_usec "));
                Duration::from_micros(usage.context("no usage in cpu.stat")?.parse()?)
            }
        })
    }
}

/// Lets a group have real-time threads, as all groups may on kernels that do not divide real-time. Where
/// groups around it leave none, its threads are like any other.
fn allow_real_time(group: &Path, micros: u32) {
    let file = group.join("cpu.rt_runtime_us");
    if file.exists() {
        write(&file, &micros.to_string()).ok();
    }
}

/// The processors of the hosts, one each.
fn processors() -> anyhow::Result<[usize; HOSTS]> {
    let allowed = sched_getaffinity(None)?;
    let all = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    let first: Vec<_> = all.take(HOSTS).collect();
    let found: Result<[usize; HOSTS], _> = first.try_into();
    found.map_err(|_| anyhow::anyhow!("two processors are needed, one for each host"))
}

fn version(mount: &Path) -> anyhow::Result<Version> {
    if mount.join("cpu/cpu.cfs_quota_us").exists() && mount.join("cpuacct").exists() {
        return Ok(Version::One);
    }
    let all = fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
    ensure!(
        all.split_whitespace().any(|controller| controller == "cpu"),
        "{} has no cgroups whose processor time can be limited: neither `cpu` and `cpuacct` of version 1 \
         nor the controller `cpu` of version 2",
        mount.display()
    );
    Ok(Version::Two)
}

/// Takes away what processes left that were killed.
fn remove_stale(mount: &Path) {
    for folder in ["cpu", "cpuacct", ""].map(|folder| mount.join(folder)) {
        for entry in fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
        {
            let name = entry.file_name();
            let process = name.to_str().and_then(|name| name.strip_prefix(NAME));
            let is_stale = process.is_some_and(|id| !Path::new("/proc").join(id).exists());
            if is_stale {
                for host in 0..HOSTS {
                    fs::remove_dir(entry.path().join(format!("host{host}"))).ok();
                }
                fs::remove_dir(entry.path()).ok();
            }
        }
    }
}

/// Where two controllers have one folder, it is there already.
fn exists(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => Ok(()),
        _ => Err(error),
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write `{text}` to {}", path.display()))
}

#[cfg(test)]
mod tests;
