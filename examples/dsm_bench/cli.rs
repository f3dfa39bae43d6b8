//! The command line.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::RangedU64ValueParser;

use crate::far::Identity;
use crate::faults::Loads;
use crate::pair::{Over, Pump};
use crate::part::Part;
use crate::place::Place;
use crate::protocol::ProtocolKind;
use crate::workload::Walk;

fn within(low: u64, high: u64) -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(low..=high)
}

/// Measures remote faults, ping-pong and scans between node processes on this host, beside floors
/// of the same run on the same processors.
///
/// remote read, remote write, upgrade: a load or store on node a that needs b's page, or the right
/// to write it. Floor: one bare userfaultfd fault whose handler blocks, and one bare round trip of
/// as many bytes, by the faster of looking and blocking. random read: the same, all over the
/// memory.
///
/// writers: nodes that write their own word of one page as often as they can. Floor of two: a bare
/// write fault and round trip a handover. More are compared with two. flag: a word that a and b
/// write in turn; each sees the other's write first.
///
/// sequential: a touches all that b wrote. Floor: a bare stream, again by the faster way to wait.
///
/// threads: read faults a second of so many threads of node a. Compared with one.
///
/// Every round measures everything once, so that what disturbs the host disturbs all alike.
///
/// That is the part "faults"; there are others, below at --only, which are measured on an otherwise
/// idle machine.
#[derive(Debug, Parser)]
#[command(name = "dsm_bench", version)]
pub(crate) struct Cli {
    /// What is measured; all but "idle" and "scan" if nothing is said.
    #[arg(long, value_name = "PART,...", value_enum, value_delimiter = ',',
        default_values_t = [Part::Faults, Part::FanOut, Part::Scatter, Part::Start, Part::Ahead, Part::Steps])]
    pub(crate) only: Vec<Part>,
    /// Faults of each kind in a round.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = within(1, 1_000_000))]
    pub(crate) pages: u64,
    /// Rounds, idle and loaded each.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = within(1, 1000))]
    pub(crate) rounds: u64,
    /// Mebibytes of a sequential scan.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = within(1, 16_384))]
    pub(crate) scan: u64,
    /// Nodes that write one page at most, of a, b, c and d.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=4))]
    pub(crate) writers: u8,
    /// Milliseconds they write.
    #[arg(long, value_name = "MS", default_value_t = 300, value_parser = within(1, 60_000))]
    pub(crate) writing: u64,
    /// Milliseconds that idle nodes are watched.
    #[arg(long, value_name = "MS", default_value_t = 3000, value_parser = within(1, 60_000))]
    pub(crate) idle: u64,
    /// How the nodes keep their memory coherent.
    #[arg(long, value_enum, default_value_t = ProtocolKind::Directory)]
    pub(crate) protocol: ProtocolKind,
    /// What the nodes talk over, and are compared with.
    #[arg(long, value_enum, default_value_t = Over::Shm)]
    pub(crate) transport: Over,
    /// How each node's pump waits.
    #[arg(long, value_enum, default_value_t = Pump::Adaptive)]
    pub(crate) pump: Pump,
    /// Do not note which pages are hot.
    #[arg(long)]
    pub(crate) no_heat: bool,
    /// On which processors the nodes run.
    #[arg(long, value_enum, default_value_t = Place::Split)]
    pub(crate) place: Place,
    /// Whether another process keeps every processor busy.
    #[arg(long, value_enum, default_value_t = Loads::Both)]
    pub(crate) load: Loads,
    /// Also write the figures as JSON to FILE, or with `-` to standard output, and then nothing
    /// else.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Also draw the distributions of latency, and throughput against threads and writers.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Be another node; set by the process that measures.
    #[arg(long, hide = true, value_parser = identity)]
    pub(crate) far: Option<Identity>,
    /// Keep these processors busy; set by the process that measures.
    #[arg(long, hide = true, value_delimiter = ',')]
    pub(crate) busy: Vec<usize>,
}

fn identity(text: &str) -> serde_json::Result<Identity> {
    serde_json::from_str(text)
}

impl Cli {
    /// Whether `part` is to be measured.
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.only.contains(&part)
    }

    /// Nodes, each a process.
    pub(crate) fn nodes(&self) -> usize {
        self.writers.into()
    }

    /// Pages of a sequential scan.
    pub(crate) const fn scan_pages(&self) -> u64 {
        self.scan << (20 - 12)
    }

    /// Pages of shared data.
    pub(crate) fn data_pages(&self) -> u64 {
        self.scan_pages().max(Walk::room(self.pages))
    }
}
