//! The command line.

use std::path::PathBuf;

use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  agent --once                          what the host tells, once
  agent --dry-run                       what would be moved in this cgroup
  agent --pid 1234                      place the threads of one process
  agent --cgroup /sys/fs/cgroup/jobs    place those of a cgroup, with all below it

To give the channel to a group instead of root, as a udev rule:
  SUBSYSTEM==\"virtio-ports\", ATTR{name}==\"giantvm.channel\", GROUP=\"giantvm\", MODE=\"0660\"";

/// Places a Linux guest's threads near those that they share memory with.
///
/// The guest runs on several hosts, and a page that threads of two of them use by turns goes to and
/// fro. Which pages those are, and which vCPUs wait for them, the host tells by a port of a virtio
/// console (`aggregate --channel`). The agent asks it a few times a second and sets affinities:
/// each thread that it moves may use the processors of one node, of those that it was allowed before. They
/// are given back when the agent ends.
///
/// It may place the threads of its own user; others need CAP_SYS_NICE. One agent at a time can have the
/// channel open.
#[derive(Debug, Parser)]
#[command(name = "agent", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// The channel: a port's device, or a socket. By default the port that is named giantvm.channel.
    #[arg(long, value_name = "FILE")]
    pub(crate) channel: Option<PathBuf>,

    /// Place the threads of this cgroup, and of those below it; the agent's own by default.
    #[arg(long, value_name = "DIR", conflicts_with = "pid")]
    pub(crate) cgroup: Option<PathBuf>,

    /// Place the threads of this process only.
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,

    /// Milliseconds between two looks, each of which may move threads (50 to 60000).
    #[arg(long, value_name = "MS", default_value_t = 250,
          value_parser = clap::value_parser!(u64).range(50..=60_000))]
    pub(crate) interval: u64,

    /// Say what would be moved, and move nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Say what the host tells, and end.
    #[arg(long)]
    pub(crate) once: bool,

    /// End after so many looks.
    #[arg(long, value_name = "N")]
    pub(crate) looks: Option<u64>,
}
