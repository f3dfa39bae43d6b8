//! Nodes that leave a memory which others go on using, on real memory: nothing is lost with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use giantvm_core::testing::skip;
use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, NodeId, PageIndex, PageSize};
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::engine::{Bandwidth, DepartError, Dsm, Handlers, Watcher};
use giantvm_dsm::protocol::{
    CannotDepart, CoherenceProtocol, Directory, HomeMap, Ivy, Lease, Phase,
};
use giantvm_dsm::uffd::Support;
use giantvm_dsm::view::Region;
use giantvm_transport::{Loss, inproc};
use zerocopy::FromBytes;

const PATIENCE: Duration = Duration::from_secs(60);
/// Pages, of which each node is home to a third at first.
const PAGES: usize = 96;
const WORDS: usize = PageSize::K4.bytes() / size_of::<u64>();

#[derive(FromBytes)]
#[repr(C)]
struct Memory([[AtomicU64; WORDS]; PAGES]);

/// Counts who is gone without a loss; a loss ends the test, as threads might wait for ever.
#[derive(Default)]
struct Gone(AtomicU64);

impl Watcher for Gone {
    fn lost(&self, node: NodeId, loss: &Loss) {
        eprintln!("node {node} was lost: {loss:?}");
        std::process::abort();
    }

    fn gone(&self, node: NodeId, _: &Loss) {
        self.0.fetch_or(1 << node.get(), Ordering::Relaxed);
    }

    fn failed(&self, error: &BackingError) {
        eprintln!("a backing failed: {error}");
        std::process::abort();
    }
}

struct Node {
    dsm: Dsm,
    gone: Arc<Gone>,
}

impl Node {
    fn memory(&self) -> Region<Memory> {
        Region::new(self.dsm.mapping(), PageIndex(0)).unwrap()
    }

    fn leave(&self, heir: u8, bandwidth: Bandwidth) {
        self.dsm.depart(node(heir), bandwidth).unwrap();
        self.wait_for(|phase| phase == Phase::Left);
    }

    fn wait_for(&self, phase: impl Fn(Phase) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !phase(self.dsm.departure().phase) {
            let departure = self.dsm.departure();
            assert!(Instant::now() < end, "{departure:?}");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

/// So many nodes in this process; `None` if the kernel cannot.
fn nodes<P: CoherenceProtocol>(test: &str, count: u8) -> Option<Vec<Node>> {
    if !Support::probe().missing() {
        skip(test, "userfaultfd is not usable");
        return None;
    }
    let limits = Limits::for_pages(PageSize::K4);
    let transports = inproc::cluster(count.into(), Epoch::FIRST, limits).unwrap();
    let homes = HomeMap::even(PAGES as u64, NodeId::first(count.into()));
    let start = |transport: Arc<inproc::InprocTransport>| {
        let gone = Arc::new(Gone::default());
        let handlers = Handlers::default().watch(gone.clone());
        let (size, homes) = (PageSize::K4, homes.clone());
        let dsm = Dsm::start::<P>(transport, Epoch::FIRST, size, homes, handlers).unwrap();
        Node { dsm, gone }
    };
    Some(transports.into_iter().map(start).collect())
}

/// Takes a node away as a kill would: no farewell, and its links end.
fn kill(nodes: &mut Vec<Node>, at: usize) {
    let number = nodes[at].dsm.stats().departure.phase;
    assert_eq!(number, Phase::Left);
    drop(nodes.remove(at));
}

fn finish(nodes: Vec<Node>) {
    thread::scope(|scope| {
        for node in nodes {
            scope.spawn(move || node.dsm.finish(PATIENCE).unwrap());
        }
    });
}

#[test]
fn what_a_node_wrote_stays_when_it_leaves_while_others_work_and_is_killed() {
    let test = "what_a_node_wrote_stays_when_it_leaves";
    let Some(mut nodes) = nodes::<Directory>(test, 3) else {
        return;
    };
    for (at, node) in nodes.iter().enumerate() {
        let memory = node.memory();
        for page in &memory.0 {
            page[at].store(at as u64 + 1, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    let counted = thread::scope(|scope| {
        let workers: Vec<_> = nodes[..2]
            .iter()
            .enumerate()
            .map(|(at, node)| {
                let (memory, stop) = (node.memory(), &stop);
                scope.spawn(move || {
                    let mut rounds = 0;
                    while !stop.load(Ordering::Relaxed) {
                        for page in memory.0.iter().skip(at).step_by(3) {
                            page[8].fetch_add(1, Ordering::Relaxed);
                            page[9 + at].fetch_add(1, Ordering::Relaxed);
                        }
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        nodes[2].leave(1, Bandwidth::UNBOUNDED);
        stop.store(true, Ordering::Relaxed);
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum::<u64>()
    });
    assert!(counted > 0);
    assert!(nodes[2].dsm.departure().told > 0);
    kill(&mut nodes, 2);
    let sum = |memory: &Memory| {
        let pages = memory.0.iter();
        pages
            .map(|page| page[8].load(Ordering::Relaxed))
            .sum::<u64>()
    };
    for node in &nodes {
        let memory = node.memory();
        for page in &memory.0 {
            let written = [0, 1, 2].map(|at: usize| page[at].load(Ordering::Relaxed));
            assert_eq!(written, [1, 2, 3]);
        }
        assert_eq!(sum(&memory), counted * (PAGES as u64 / 3));
        assert_eq!(node.gone.0.load(Ordering::Relaxed), 1 << 2);
    }
    finish(nodes);
}

#[test]
fn nodes_leave_one_after_the_other_until_one_has_everything() {
    let test = "nodes_leave_one_after_the_other";
    let Some(mut nodes) = nodes::<Directory>(test, 4) else {
        return;
    };
    for round in 0..4_u64 {
        for node in &nodes {
            for page in &node.memory().0 {
                assert_eq!(page[0].load(Ordering::Relaxed) % 10, 0);
                page[0].fetch_add(10, Ordering::Relaxed);
            }
        }
        let gone: u64 = (0..round).map(|gone| 4 - gone).sum::<u64>() + 4 - round;
        assert_eq!(
            nodes[0].memory().0[PAGES - 1][0].load(Ordering::Relaxed),
            gone * 10
        );
        if round < 3 {
            // The first takes over what others took over before.
            nodes[1].leave(if round == 2 { 0 } else { 3 }, Bandwidth::UNBOUNDED);
            kill(&mut nodes, 1);
        }
    }
    finish(nodes);
}

#[test]
fn a_node_that_left_comes_back_and_finds_what_others_wrote() {
    let test = "a_node_that_left_comes_back";
    let Some(nodes) = nodes::<Directory>(test, 3) else {
        return;
    };
    let (stays, leaves) = (&nodes[0], &nodes[2]);
    leaves.memory().0[PAGES - 1][0].store(7, Ordering::Relaxed);
    leaves.leave(0, Bandwidth(64 << 20));
    stays.memory().0[PAGES - 1][0].fetch_add(1, Ordering::Relaxed);
    thread::scope(|scope| {
        // A thread that touches the memory meanwhile waits.
        let early = scope.spawn(|| leaves.memory().0[PAGES - 1][0].load(Ordering::Relaxed));
        thread::sleep(Duration::from_millis(20));
        assert!(!early.is_finished());
        assert!(leaves.dsm.come_back());
        assert_eq!(early.join().unwrap(), 8);
    });
    leaves.wait_for(|phase| phase == Phase::Here);
    leaves.leave(1, Bandwidth::UNBOUNDED);
    assert!(leaves.dsm.come_back());
    finish(nodes);
}

#[test]
fn who_cannot_leave_says_why() {
    let test = "who_cannot_leave_says_why";
    let against = |nodes: &[Node], heir| nodes[0].dsm.depart(node(heir), Bandwidth::UNBOUNDED);
    let cannot = |why| Err(DepartError::Cannot(why));
    let Some(all) = nodes::<Directory>(test, 2) else {
        return;
    };
    assert_eq!(against(&all, 0), cannot(CannotDepart::Heir(node(0))));
    assert_eq!(against(&all, 5), cannot(CannotDepart::Heir(node(5))));
    finish(all);
    let ivy = nodes::<Ivy>(test, 2).unwrap();
    assert_eq!(against(&ivy, 1), cannot(CannotDepart::Protocol("ivy")));
    finish(ivy);
    let lease = nodes::<Lease>(test, 2).unwrap();
    assert_eq!(against(&lease, 1), cannot(CannotDepart::Protocol("lease")));
    finish(lease);
}
