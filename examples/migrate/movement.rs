//! The thread moves, and pages follow as it uses them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use giantvm_dsm::engine::parcel::When;
use giantvm_dsm::engine::{Dsm, DsmOptions};

use crate::leg::{Leg, Trip};
use crate::link;
use crate::node::{self, Shared};
use crate::plan::Plan;
use crate::speed::{Step, usual};
use crate::vm::{self, Words};

fn shared(plan: &Plan) -> anyhow::Result<Shared> {
    let mut options = DsmOptions::default();
    options.parcels.standby = plan.standby;
    // As pre-copy is not compressed here, pages are not either.
    options.parcels.lz4 = When::Never;
    // The bytes are what is asked about, whatever link the nodes of this host have.
    options.parcels.deltas = When::Always;
    Ok(Shared {
        size: plan.size,
        protocol: plan.protocol,
        options,
        home: link::node(0)?,
        parting: Arc::default(),
    })
}

/// Works on one node, then on the other, then on the first again.
pub(crate) fn trip(plan: &Plan) -> anyhow::Result<Trip> {
    let ends = link::ends(plan.link)?;
    let shared = shared(plan)?;
    let nodes = [
        node::start(&ends[0], &shared)?,
        node::start(&ends[1], &shared)?,
    ];
    let trip = measure(plan, &ends, &nodes);
    shared.parting.store(trip.is_err(), Ordering::Release);
    let trip = trip?;
    node::finish(nodes)?;
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
