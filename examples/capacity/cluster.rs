//! Nodes in this process, each with its own memory, its limit and one thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, NodeId, PageSize};
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::engine::{Dsm, DsmOptions, DsmStats, Handlers, MemoryBudget, Watcher};
use giantvm_dsm::protocol::HomeMap;
use giantvm_transport::{Loss, Transport, inproc};

use crate::protocol::ProtocolKind;
use crate::work::{Phase, Work};

const SIZE: PageSize = PageSize::K4;
const PATIENCE: Duration = Duration::from_secs(60);

/// What a cluster is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) protocol: ProtocolKind,
    /// The size of the working set, in bytes.
    pub(crate) bytes: u64,
    /// What each node gives, in pages: homes are given by it.
    pub(crate) budgets: &'a [u64],
    /// Whether that is a limit.
    pub(crate) limited: bool,
}

/// What a node did in one phase.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) took: Duration,
    pub(crate) before: DsmStats,
    pub(crate) after: DsmStats,
    /// Bytes of all nodes' frames at the end of the phase, as the system counts; `None` if it does
    /// not say.
    pub(crate) counted: Option<u64>,
}

/// Ends the process: threads that wait for a page that never comes would not.
struct Loud;

impl Watcher for Loud {
    fn lost(&self, node: NodeId, loss: &Loss) {
        eprintln!("capacity: node {node} was lost: {loss}");
        std::process::abort();
    }

    fn failed(&self, error: &BackingError) {
        eprintln!("capacity: a node cannot serve its memory: {error}");
        std::process::abort();
    }
}

/// Runs all phases on all nodes, and checks every word: what each node did in each phase.
pub(crate) fn run(job: Job<'_>) -> anyhow::Result<Vec<Vec<Part>>> {
    let count = job.budgets.len();
    let ends = inproc::cluster(count, Epoch::FIRST, Limits::for_pages(SIZE))?;
    let budgets = NodeId::first(count).zip(job.budgets.iter().copied());
    let homes = HomeMap::weighted(Work::pages(job.bytes), budgets)?;
    std::thread::scope(|scope| {
        let start = |end: Arc<inproc::InprocTransport>| {
            let homes = homes.clone();
            scope.spawn(move || node(job, end, homes))
        };
        let nodes: Vec<_> = ends.into_iter().map(start).collect();
        let join = |node: std::thread::ScopedJoinHandle<'_, anyhow::Result<Vec<Part>>>| {
            node.join().map_err(|_| anyhow!("a node panicked"))?
        };
        nodes.into_iter().map(join).collect()
    })
}

fn node(job: Job<'_>, end: Arc<dyn Transport>, homes: HomeMap) -> anyhow::Result<Vec<Part>> {
    let (number, nodes) = (end.local().index(), u8::try_from(job.budgets.len())?);
    let mut options = DsmOptions::default();
    let budget = MemoryBudget(job.budgets[number] * SIZE.bytes() as u64);
    options.memory = Some(budget).filter(|_| job.limited);
    let handlers = Handlers::default().watch(Arc::new(Loud));
    let dsm = job.protocol.start(end, SIZE, homes, handlers, options);
    let dsm = dsm.context("`cargo run --release --example doctor` says what this host lacks")?;
    let work = Work::new(dsm.mapping(), number, nodes)?;
    let mut parts = Vec::new();
    work.meet();
    for phase in Phase::ALL {
        let before = dsm.stats();
        let start = Instant::now();
        work.run(phase);
        let took = start.elapsed();
        let after = dsm.stats();
        work.meet();
        let counted = frames();
        parts.push(Part {
            took,
            before,
            after,
            counted,
        });
        work.meet();
    }
    let checked = work.check(1);
    work.meet();
    drop(work);
    finish(dsm)?;
    checked.map(|()| parts)
}

fn finish(dsm: Dsm) -> anyhow::Result<()> {
    Ok(dsm.finish(PATIENCE)?)
}

/// Bytes of this process's memory files that take memory.
fn frames() -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let files = std::fs::read_dir("/proc/self/fd").ok()?;
    let ours = files.flatten().filter(|file| {
        let link = std::fs::read_link(file.path());
        link.is_ok_and(|link| link.to_string_lossy().starts_with("/memfd:giantvm"))
    });
    let blocks = ours.filter_map(|file| std::fs::metadata(file.path()).ok());
    let bytes: u64 = blocks.map(|file| file.blocks() * 512).sum();
    Some(bytes).filter(|&bytes| bytes > 0)
}
