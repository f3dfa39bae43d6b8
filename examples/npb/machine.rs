//! One run: a machine of several node processes, started and read.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::cli::Transport;
use crate::matrix::Case;

/// Who schedules the threads, and whether there is anything to be near to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    Fair,
    Das,
    /// As `fair`, with all vCPUs on one node: no page is ever waited for.
    Alone,
}

impl Setup {
    pub(crate) const ALL: [Self; 3] = [Self::Fair, Self::Das, Self::Alone];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fair => "fair",
            Self::Das => "das",
            Self::Alone => "alone",
        }
    }

    const fn scheduler(self) -> &'static str {
        match self {
            Self::Fair | Self::Alone => "fair",
            Self::Das => "das",
        }
    }

    const fn nodes(self, case: &Case) -> u8 {
        match self {
            Self::Fair | Self::Das => case.nodes,
            Self::Alone => 1,
        }
    }
}

/// What one run came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    /// What is counted: all times but the first, in milliseconds.
    pub(crate) ms: f64,
    /// The first time.
    pub(crate) first_ms: f64,
    /// Of all nodes, from start to end.
    pub(crate) remote_faults: u64,
    pub(crate) bytes: u64,
    /// How long threads waited for pages of other nodes, all together.
    pub(crate) stall_ms: f64,
    /// Processor time of all nodes, in seconds.
    pub(crate) cpu_s: f64,
    /// How often a thread went to another node.
    pub(crate) changes_of_node: u64,
    /// How long the scheduler was told of faults, and all that it did.
    pub(crate) faults_told_ms: f64,
    pub(crate) scheduler_ms: f64,
    pub(crate) threads: Vec<Thread>,
}

/// What became of one thread.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Thread {
    pub(crate) thread: u32,
    pub(crate) changes_of_node: u64,
    pub(crate) faults_read: u64,
    pub(crate) faults_write: u64,
    pub(crate) stall_ms: f64,
    pub(crate) node: u8,
}

/// What `aggregate --json` says, as far as it is of interest here.
#[derive(Debug, Deserialize)]
struct Report {
    verified: bool,
    programs: Vec<Program>,
    nodes: Vec<Node>,
    scheduling: Scheduling,
}

#[derive(Debug, Deserialize)]
struct Program {
    micros: u64,
    detail: String,
    verified: bool,
}

#[derive(Debug, Deserialize)]
struct Node {
    faults_remote: u64,
    bytes_sent: u64,
    cpu_seconds: f64,
}

#[derive(Debug, Deserialize)]
struct Scheduling {
    changes_of_node: u64,
    busy_ms: f64,
    faults_ms: f64,
    threads: Vec<Thread>,
}

/// The program that makes machines.
#[derive(Debug)]
pub(crate) struct Aggregate(PathBuf);

impl Aggregate {
    /// Has cargo build it, beside this program.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let path = std::env::current_exe()?.with_file_name("aggregate");
        if let Some(cargo) = std::env::var_os("CARGO") {
            let mut build = Command::new(cargo);
            build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
            build.args(["build", "--quiet", "--example", "aggregate"]);
            if !cfg!(debug_assertions) {
                build.arg("--release");
            }
            ensure!(build.status()?.success(), "cargo cannot build aggregate");
        }
        ensure!(
            path.exists(),
            "{} is not there: run `cargo build --release --example aggregate`",
            path.display()
        );
        Ok(Self(path))
    }

    /// Runs a case to its end. Fails unless every result was right.
    pub(crate) fn run(
        &self,
        case: &Case,
        setup: Setup,
        transport: Transport,
    ) -> anyhow::Result<Run> {
        let json = tempfile()?;
        let output = Command::new(&self.0)
            .args(["--nodes", &setup.nodes(case).to_string()])
            .args(["--vcpus", &case.vcpus.to_string()])
            .args(["--threads", &case.threads().to_string()])
            .args(["--scheduler", setup.scheduler()])
            .args(["--vcpu", case.vcpu.name()])
            .args(["--transport", transport.name()])
            .args(["--memory", case.memory()])
            .args(["--program", &case.programs()])
            .arg("--json")
            .arg(json.path())
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{}: {}",
            output.status,
            said.trim()
        );
        let report = std::fs::read(json.path())?;
        Run::of(&serde_json::from_slice(&report).context("what aggregate reports")?)
    }
}

impl Run {
    fn of(report: &Report) -> anyhow::Result<Self> {
        let wrong = report.programs.iter().find(|program| !program.verified);
        if let Some(program) = wrong {
            anyhow::bail!("a result is wrong: {}", program.detail);
        }
        ensure!(report.verified, "the machine ended badly");
        let times = report
            .programs
            .iter()
            .map(|program| program.micros as f64 / 1e3);
        let times: Vec<_> = times.collect();
        let [first_ms, counted @ ..] = &times[..] else {
            anyhow::bail!("nothing was run");
        };
        let scheduling = &report.scheduling;
        Ok(Self {
            ms: counted.iter().sum(),
            first_ms: *first_ms,
            remote_faults: report.nodes.iter().map(|node| node.faults_remote).sum(),
            bytes: report.nodes.iter().map(|node| node.bytes_sent).sum(),
            stall_ms: scheduling.threads.iter().map(|of| of.stall_ms).sum(),
            cpu_s: report.nodes.iter().map(|node| node.cpu_seconds).sum(),
            changes_of_node: scheduling.changes_of_node,
            faults_told_ms: scheduling.faults_ms,
            scheduler_ms: scheduling.busy_ms,
            threads: scheduling.threads.clone(),
        })
    }
}

/// A file that goes when it is dropped.
struct Temporary(PathBuf);

impl Temporary {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

fn tempfile() -> std::io::Result<Temporary> {
    let path = std::env::temp_dir().join(format!("giantvm-npb-{}.json", std::process::id()));
    let mut options = std::fs::File::options();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)?;
    Ok(Temporary(path))
}
