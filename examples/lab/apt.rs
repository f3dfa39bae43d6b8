//! Debian's packages by the machine's own apt, without a change to its configuration.
//!
//! Sources, lists and caches are the lab's own, and nothing counts as installed: what is fetched is
//! the same on every machine, and takes no one's rights.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::cache::Cache;
use crate::progress::Step;
use crate::sources::{self, RELEASE, Suite};
use crate::tool;

/// How often a download is looked at.
const PERIOD: Duration = Duration::from_millis(100);

/// apt, as far as the lab uses it.
#[derive(Debug)]
pub(crate) struct Apt {
    root: PathBuf,
}

impl Apt {
    /// Prepares the lab's own lists, if they are not there.
    pub(crate) fn prepare(cache: &Cache) -> anyhow::Result<Self> {
        let root = cache.directory("apt", |part| {
            let _step = Step::start("read Debian's package lists");
            for directory in ["lists/partial", "cache/archives/partial"] {
                fs::create_dir_all(part.join(directory))?;
            }
            fs::write(part.join("status"), "")?;
            let root = part.to_owned();
            Self { root }.read_lists()
        })?;
        Ok(Self { root })
    }

    /// Whether a suite can be had.
    pub(crate) fn has(&self, suite: Suite) -> bool {
        fs::read_to_string(self.sources()).is_ok_and(|list| list.contains(&suite.name()))
    }

    fn sources(&self) -> PathBuf {
        self.root.join("sources.list")
    }

    /// The lists of the archive that this machine uses, with backports if they are there.
    fn read_lists(&self) -> anyhow::Result<()> {
        // Sources that are not Debian's may fail to answer.
        Command::new("apt-get")
            .args(self.paths())
            .args(["-qq", "update"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("cannot run apt-get: the lab needs a machine with Debian's apt")?;
        let mut known = Command::new("apt-get");
        known.args(self.paths()).arg("indextargets");
        known.args(["--format", sources::FORMAT, "Created-By: Packages"]);
        let known = tool::text(&mut known)?;
        for backports in [true, false] {
            let list = sources::list(&known, backports).context(
                "apt knows no archive of Debian: add one to /etc/apt/sources.list so that \
                 `apt-get update` reads it",
            )?;
            fs::write(self.sources(), list)?;
            match tool::text(
                self.command("apt-get")
                    .args(["-qq", "update", "--error-on=any"]),
            ) {
                Ok(_) => return Ok(()),
                Err(error) if !backports => return Err(error),
                Err(_) => eprintln!(
                    "lab: the archive in apt's configuration has no {RELEASE}-backports. The QEMU \
                     of {RELEASE} itself serves instead; now and then an emulated host hangs in \
                     it. To have the better one, name an archive with backports first in \
                     /etc/apt/sources.list, remove the lab's cache and run it again."
                ),
            }
        }
        Ok(())
    }

    /// The kernel's package that a meta package stands for.
    pub(crate) fn kernel(&self, meta: &str) -> anyhow::Result<String> {
        let depends = tool::text(self.command("apt-cache").args(["depends", meta]))?;
        let mut names = depends
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "));
        let name = names.find(|name| name.starts_with("linux-image"));
        name.map(str::to_owned)
            .with_context(|| format!("apt does not say which kernel {meta} stands for"))
    }

    /// Fetches one package without what it depends on.
    pub(crate) fn fetch(&self, package: &str, into: &Path) -> anyhow::Result<()> {
        let _step = Step::start(&format!("fetch {package}"));
        let mut command = self.command("apt-get");
        command.current_dir(into).args(["-qq", "download", package]);
        tool::output(&mut command).map(drop)
    }

    /// Fetches packages with all they depend on.
    pub(crate) fn fetch_whole(
        &self,
        suite: Suite,
        packages: &[&str],
        into: &Path,
    ) -> anyhow::Result<()> {
        let partial = into.join("partial");
        fs::create_dir(&partial)?;
        let install = || {
            let mut command = self.command("apt-get");
            let archives = format!("Dir::Cache::archives={}", into.display());
            command.args(["-o", &archives, "-qq", "-y", "-t", &suite.name(), "install"]);
            command.args(packages);
            command
        };
        let uris = tool::text(install().arg("--print-uris"))?;
        let step = Step::bytes(&format!("fetch {}", packages.join(", ")), bytes(&uris));
        thread::scope(|scope| {
            let download = scope.spawn(|| tool::output(install().arg("--download-only")));
            while !download.is_finished() {
                step.at(held(into) + held(&partial));
                thread::sleep(PERIOD);
            }
            let done = download.join();
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        Ok(())
    }

    /// A program of apt's that asks the lab's own sources.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let list = format!("Dir::Etc::sourcelist={}", self.sources().display());
        command.args(self.paths());
        command.args(["-o", &list, "-o", "Dir::Etc::sourceparts=/dev/null"]);
        command
    }

    /// Options by which all that apt writes is the lab's.
    fn paths(&self) -> Vec<String> {
        let root = self.root.display();
        let options = [
            format!("Dir::State::lists={root}/lists"),
            format!("Dir::State::status={root}/status"),
            format!("Dir::State::extended_states={root}/extended_states"),
            format!("Dir::Cache={root}/cache"),
            "Debug::NoLocking=1".to_owned(),
            "APT::Install-Recommends=0".to_owned(),
            "APT::Sandbox::User=".to_owned(),
            "Acquire::Retries=3".to_owned(),
        ];
        let option = |value| ["-o".to_owned(), value];
        options.into_iter().flat_map(option).collect()
    }
}

/// How many bytes `apt-get --print-uris` is about.
fn bytes(uris: &str) -> u64 {
    let lines = uris.lines().filter(|line| line.starts_with('\''));
    let sizes = lines.filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
    sizes.sum()
}

/// The size of the files in a directory.
fn held(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| entry.metadata().ok());
    files
        .filter(fs::Metadata::is_file)
        .map(|file| file.len())
        .sum()
}
