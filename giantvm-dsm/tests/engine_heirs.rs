//! Nodes with little memory leave for an heir with more, over real memory: nothing is lost with them, and
//! those who stay keep to their budgets.

#[path = "support/loud.rs"]
mod loud;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use giantvm_core::testing::skip;
use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, NodeId, PageIndex, PageSize};
use giantvm_dsm::engine::{Bandwidth, Dsm, DsmOptions, Handlers, MemoryBudget};
use giantvm_dsm::protocol::{Directory, HomeMap, Phase, Succession};
use giantvm_dsm::uffd::Support;
use giantvm_dsm::view::Region;
use giantvm_transport::inproc;
use zerocopy::FromBytes;

use crate::loud::Loud;

const PATIENCE: Duration = Duration::from_secs(60);
/// How long wishes may take that were under way at the end.
const SETTLING: Duration = Duration::from_secs(10);
const SIZE: PageSize = PageSize::K4;
const WORDS: usize = SIZE.bytes() / size_of::<u64>();
/// More than any node gives.
const PAGES: usize = 1200;
/// Pages that each node gives: those of the last fit the second only.
const BUDGETS: [u64; 3] = [640, 1000, 640];
/// What two peers may send home at a time, and a thread's faults meanwhile.
const SLACK: u64 = 192;
/// The node that leaves, and who has the most room for what it is home to.
const LEAVER: usize = 2;
const HEIR: usize = 1;

#[derive(FromBytes)]
#[repr(C)]
struct Memory([[AtomicU64; WORDS]; PAGES]);

fn budgets() -> impl Iterator<Item = (NodeId, u64)> {
    NodeId::first(BUDGETS.len()).zip(BUDGETS)
}

fn homes() -> HomeMap {
    HomeMap::weighted(PAGES as u64, budgets()).unwrap()
}

/// `None` if the kernel cannot.
fn nodes(test: &str) -> Option<Vec<Dsm>> {
    if !Support::probe().missing() {
        skip(test, "userfaultfd is not usable");
        return None;
    }
    let ends = inproc::cluster(BUDGETS.len(), Epoch::FIRST, Limits::for_pages(SIZE)).unwrap();
    let start = |(end, (_, budget)): (Arc<inproc::InprocTransport>, (NodeId, u64))| {
        let mut options = DsmOptions::default();
        options.memory = Some(MemoryBudget(budget * SIZE.bytes() as u64));
        let handlers = Handlers::default().watch(Arc::new(Loud));
        let homes = homes();
        Dsm::start_with::<Directory>(end, Epoch::FIRST, SIZE, homes, handlers, options).unwrap()
    };
    Some(ends.into_iter().zip(budgets()).map(start).collect())
}

fn memory(dsm: &Dsm) -> Region<Memory> {
    Region::new(dsm.mapping(), PageIndex(0)).unwrap()
}

fn leave(dsm: &Dsm, heir: NodeId, bandwidth: Bandwidth) {
    dsm.depart(heir, bandwidth).unwrap();
    let end = Instant::now() + PATIENCE;
    while dsm.departure().phase != Phase::Left {
        assert!(Instant::now() < end, "{:?}", dsm.departure());
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until a node is within its budget.
fn settles(dsm: &Dsm, budget: u64) {
    let end = Instant::now() + SETTLING;
    loop {
        let stats = dsm.stats().memory;
        if stats.resident <= budget {
            return;
        }
        assert!(Instant::now() < end, "{stats:?} of {budget} pages");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Adds to a word of each page in turn until told to stop; how often in all.
fn work(memory: &Memory, at: usize, stop: &AtomicBool) -> u64 {
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        for page in &memory.0 {
            page[8].fetch_add(1, Ordering::Relaxed);
            page[at].fetch_add(1, Ordering::Relaxed);
        }
        rounds += 1;
    }
    rounds
}

fn leaves_while_all_are_full(test: &str, bandwidth: Bandwidth) {
    let Some(mut nodes) = nodes(test) else {
        return;
    };
    let leaver = NodeId::try_from(LEAVER).unwrap();
    let unlimited = budgets().map(|(node, budget)| (node, Some(budget)));
    let heir = Succession::new(&homes(), unlimited).heir(leaver).unwrap();
    assert_eq!(heir.index(), HEIR);
    for (at, dsm) in nodes.iter().enumerate() {
        for page in &memory(dsm).0 {
            page[4 + at].store(at as u64 + 1, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    let (nodes_now, stopped) = (&nodes, &stop);
    let rounds = thread::scope(|scope| {
        let worker = |at: usize| move || work(&memory(&nodes_now[at]), at, stopped);
        let workers = [0, HEIR].map(|at| scope.spawn(worker(at)));
        leave(&nodes_now[LEAVER], heir, bandwidth);
        stopped.store(true, Ordering::Relaxed);
        workers.map(|worker| worker.join().unwrap())
    });
    assert!(nodes[LEAVER].departure().told > 0);
    // As a kill would do it.
    drop(nodes.remove(LEAVER));
    for dsm in &nodes {
        let memory = memory(dsm);
        for page in &memory.0 {
            let words = [0, 1, 8, 4, 5, 6].map(|at: usize| page[at].load(Ordering::Relaxed));
            let sum = rounds.iter().sum();
            assert_eq!(words, [rounds[0], rounds[1], sum, 1, 2, 3]);
        }
    }
    for (dsm, budget) in nodes.iter().zip(BUDGETS) {
        settles(dsm, budget);
        // Both were full, and the heir of what came home to it.
        let stats = dsm.stats().memory;
        assert!(stats.most_resident > budget - SLACK, "{stats:?}");
        assert!(stats.most_resident <= budget + SLACK, "{stats:?}");
    }
    thread::scope(|scope| {
        for dsm in nodes {
            scope.spawn(move || dsm.finish(PATIENCE).unwrap());
        }
    });
}

#[test]
fn a_node_leaves_for_an_heir_with_room_and_those_who_stay_keep_to_their_budgets() {
    leaves_while_all_are_full("a_node_leaves_for_an_heir_with_room", Bandwidth::UNBOUNDED);
}

#[test]
fn so_it_does_slowly() {
    leaves_while_all_are_full("so_it_does_slowly", Bandwidth(16 << 20));
}
