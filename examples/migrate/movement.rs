//! The thread moves, and pages follow as it uses them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use giantvm_core::PageSize;
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::engine::parcel::When;
use giantvm_dsm::engine::{Dsm, DsmOptions, Handlers, Watcher};
use giantvm_dsm::protocol::HomeMap;
use giantvm_transport::{Loss, Transport};

use crate::leg::{Leg, Trip};
use crate::link::{self, PATIENCE, node};
use crate::plan::Plan;
use crate::speed::{Step, usual};
use crate::vm::{self, Words};

/// Ends the process: a thread that waits for a page that never comes would not.
struct Loud {
    /// Whether the nodes part because something else went wrong, of which the caller tells.
    parting: Arc<AtomicBool>,
}

impl Watcher for Loud {
    fn lost(&self, node: giantvm_core::NodeId, loss: &Loss) {
        if self.parting.load(Ordering::Acquire) {
            return;
        }
        eprintln!("migrate: node {node} was lost: {loss}");
        std::process::abort();
    }

    fn failed(&self, error: &BackingError) {
        eprintln!("migrate: a node cannot serve its memory: {error}");
        std::process::abort();
    }
}

fn start(end: &Arc<dyn Transport>, plan: &Plan, parting: &Arc<AtomicBool>) -> anyhow::Result<Dsm> {
    let mut options = DsmOptions::default();
    options.parcels.standby = plan.standby;
    // As pre-copy is not compressed here, pages are not either.
    options.parcels.lz4 = When::Never;
    // The bytes are what is asked about, whatever link the nodes of this host have.
    options.parcels.deltas = When::Always;
    let homes = HomeMap::even(plan.size.pages(), [node(0)?]);
    let parting = Arc::clone(parting);
    let handlers = Handlers::default().watch(Arc::new(Loud { parting }));
    let end = Arc::clone(end);
    let dsm = plan
        .protocol
        .start(end, PageSize::K4, homes, handlers, options);
    dsm.context("`cargo run --release --example doctor` says what this host lacks")
}

/// Works on one node, then on the other, then on the first again.
pub(crate) fn trip(plan: &Plan) -> anyhow::Result<Trip> {
    let ends = link::ends(plan.link)?;
    let parting = Arc::default();
    let nodes = [
        start(&ends[0], plan, &parting)?,
        start(&ends[1], plan, &parting)?,
    ];
    let trip = measure(plan, &ends, &nodes);
    parting.store(trip.is_err(), Ordering::Release);
    let trip = trip?;
    finish(nodes)?;
    Ok(trip)
}

fn measure(plan: &Plan, ends: &link::Ends, nodes: &[Dsm; 2]) -> anyhow::Result<Trip> {
    let memory = [0, 1].map(|end| vm::view(nodes[end].mapping(), plan.size));
    let [first, second] = memory;
    let memory: [Box<dyn Words>; 2] = [first?, second?];
    let words = |end: usize| memory[end].words();

    vm::fill(words(0), plan.used);
    let mut warm = Vec::new();
    for _ in 0..plan.turn {
        let began = Instant::now();
        plan.work.step(words(0), plan.size)?;
        warm.push(began.elapsed());
    }
    let usual = usual(warm);
    let mut legs = [Leg::default(); 2];
    for (leg, there) in legs.iter_mut().zip([1, 0]) {
        let before = link::bytes(ends);
        let steps = steps(plan, words(there))?;
        *leg = Leg::of(link::bytes(ends) - before, &steps, usual);
    }
    let trip = Trip {
        legs,
        usual,
        steps: 3 * plan.turn,
    };
    let wrong = vm::differs(words(0), &plan.expected(trip.steps)?);
    ensure!(
        wrong.is_none(),
        "{}: page {wrong:?} is wrong after moving",
        plan.work.name()
    );
    Ok(trip)
}

fn steps(plan: &Plan, words: &[AtomicU64]) -> anyhow::Result<Vec<Step>> {
    let start = Instant::now();
    let step = |_| {
        let began: Duration = start.elapsed();
        plan.work.step(words, plan.size)?;
        Ok(Step {
            began,
            took: start.elapsed() - began,
            there: true,
        })
    };
    (0..plan.turn).map(step).collect()
}

fn finish(nodes: [Dsm; 2]) -> anyhow::Result<()> {
    let [first, second] = nodes;
    std::thread::scope(|scope| {
        let other = scope.spawn(|| second.finish(PATIENCE));
        first.finish(PATIENCE)?;
        other.join().map_err(|_| anyhow!("a node panicked"))??;
        Ok(())
    })
}
