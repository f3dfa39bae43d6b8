//! Pages that are held and given up on request, over real memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use giantvm_core::testing::skip;
use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, NodeId, PageIndex, PageSize};
use giantvm_dsm::engine::{Dsm, FaultKind, Handlers, PinError};
use giantvm_dsm::protocol::{Directory, HomeMap};
use giantvm_dsm::sync::OwnPages;
use giantvm_dsm::uffd::Support;
use giantvm_dsm::view::Region;
use giantvm_transport::Transport as _;
use giantvm_transport::inproc::{self, InprocTransport};

const PATIENCE: Duration = Duration::from_secs(60);
/// The page of the shared word, at home on node 0.
const PAGE: PageIndex = PageIndex(0);
/// A page at home on each of two nodes, and used by no other.
const OWN: [PageIndex; 2] = [PageIndex(1), PageIndex(63)];

#[derive(zerocopy::FromBytes)]
#[repr(C)]
struct Shared {
    word: OwnPages<AtomicU64>,
}

/// A node, and its view of the word.
struct Node {
    shared: Region<Shared>,
    dsm: Dsm,
    transport: Arc<InprocTransport>,
}

impl Node {
    fn word(&self) -> &AtomicU64 {
        &self.shared.word.0
    }

    /// Waits until so many loads were answered by another node: a pump wakes first, then counts.
    fn has_read(&self, times: u64) {
        until(|| self.dsm.stats().faults(FaultKind::RemoteRead) == times);
    }

    /// Waits until the pump has dealt with a frame that came after the first `before` ones.
    fn is_asked(&self, before: u64) {
        until(|| self.transport.traffic().frames_received > before);
        // The pump does what it is asked after it has dealt with the frames that it took.
        drop(
            self.dsm
                .pin(OWN[self.transport.local().index()], PATIENCE)
                .unwrap(),
        );
    }
}

fn cluster(test: &str, nodes: usize) -> Option<Vec<Node>> {
    if !Support::probe().missing() {
        skip(test, "userfaultfd is not usable");
        return None;
    }
    let limits = Limits::for_pages(PageSize::K4);
    let transports = inproc::cluster(nodes, Epoch::FIRST, limits).unwrap();
    let start = |transport: Arc<InprocTransport>| {
        let homes = HomeMap::even(64, NodeId::first(nodes));
        let (size, handlers) = (PageSize::K4, Handlers::default());
        let dsm = Dsm::start::<Directory>(transport.clone(), Epoch::FIRST, size, homes, handlers)
            .unwrap();
        Node {
            shared: Region::new(dsm.mapping(), PAGE).unwrap(),
            dsm,
            transport,
        }
    };
    Some(transports.into_iter().map(start).collect())
}

/// Waits for what another thread is about to bring about.
fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < PATIENCE, "it never happens");
        std::thread::yield_now();
    }
}

#[test]
fn a_pinned_page_is_written_by_another_node_only_when_it_is_let_go() {
    let Some(nodes) = cluster("a_pinned_page_is_written_by_another_node", 2) else {
        return;
    };
    let (holder, other) = (&nodes[0], &nodes[1]);
    let written = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pin = holder.dsm.pin(PAGE, PATIENCE).unwrap();
        assert_eq!(pin.page(), PAGE);
        let before = holder.transport.traffic().frames_received;
        scope.spawn(|| {
            other.word().fetch_add(1, Ordering::SeqCst);
            written.store(true, Ordering::SeqCst);
        });
        holder.is_asked(before);
        for value in 0..1000 {
            // Not one step: exact only if no one else comes between.
            assert_eq!(holder.word().load(Ordering::SeqCst), value);
            holder.word().store(value + 1, Ordering::SeqCst);
        }
        assert!(!written.load(Ordering::SeqCst));
        drop(pin);
    });
    assert!(written.load(Ordering::SeqCst));
    assert_eq!(holder.word().load(Ordering::SeqCst), 1001);
}

#[test]
fn a_page_that_is_pinned_twice_stays_until_both_let_go() {
    let Some(nodes) = cluster("a_page_that_is_pinned_twice", 2) else {
        return;
    };
    let (holder, other) = (&nodes[1], &nodes[0]);
    let written = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let first = holder.dsm.pin(PAGE, PATIENCE).unwrap();
        let second = holder.dsm.pin(PAGE, PATIENCE).unwrap();
        drop(first);
        let before = holder.transport.traffic().frames_received;
        scope.spawn(|| {
            other.word().store(7, Ordering::SeqCst);
            written.store(true, Ordering::SeqCst);
        });
        holder.is_asked(before);
        assert_eq!(holder.word().load(Ordering::SeqCst), 0);
        assert!(!written.load(Ordering::SeqCst));
        drop(second);
    });
    assert_eq!(holder.word().load(Ordering::SeqCst), 7);
}

#[test]
fn a_pin_that_does_not_come_in_time_leaves_nothing_pinned() {
    let Some(nodes) = cluster("a_pin_that_does_not_come_in_time", 2) else {
        return;
    };
    let (holder, late) = (&nodes[0], &nodes[1]);
    let pin = holder.dsm.pin(PAGE, PATIENCE).unwrap();
    let none = late.dsm.pin(PAGE, Duration::from_millis(1)).unwrap_err();
    assert_eq!(none, PinError::TimedOut(PAGE));
    drop(pin);
    // The page goes where it was asked for, and comes back.
    late.word().fetch_add(1, Ordering::SeqCst);
    assert_eq!(holder.word().fetch_add(1, Ordering::SeqCst), 1);
    drop(late.dsm.pin(PAGE, PATIENCE).unwrap());
    assert_eq!(holder.word().fetch_add(1, Ordering::SeqCst), 2);
}

#[test]
fn an_evicted_page_moves_to_its_home_and_nothing_is_lost() {
    let Some(nodes) = cluster("an_evicted_page_moves_to_its_home", 2) else {
        return;
    };
    let (home, owner) = (&nodes[0], &nodes[1]);
    owner.word().store(7, Ordering::SeqCst);
    assert!(owner.dsm.evict(PAGE));
    until(|| home.dsm.stats().pages_received == 1);
    assert_eq!(owner.dsm.stats().invalidations, 1);
    assert_eq!(home.word().load(Ordering::SeqCst), 7);
    assert_eq!(home.dsm.stats().faults_remote(), 0, "the page was there");
    assert_eq!(owner.word().load(Ordering::SeqCst), 7);
    owner.has_read(1);
}

#[test]
fn an_evicted_shared_copy_goes_and_the_others_stay() {
    let Some(nodes) = cluster("an_evicted_shared_copy_goes", 2) else {
        return;
    };
    let (owner, sharer) = (&nodes[0], &nodes[1]);
    owner.word().store(7, Ordering::SeqCst);
    assert_eq!(sharer.word().load(Ordering::SeqCst), 7);
    assert!(sharer.dsm.evict(PAGE));
    until(|| sharer.dsm.stats().invalidations == 1);
    assert_eq!(owner.word().load(Ordering::SeqCst), 7);
    assert_eq!(owner.dsm.stats().pages_received, 0, "its copy stayed");
    assert_eq!(sharer.word().load(Ordering::SeqCst), 7);
    sharer.has_read(2);
}

#[test]
fn a_counter_stays_exact_while_all_nodes_evict_its_page() {
    const ROUNDS: u64 = 500;
    let Some(nodes) = cluster("a_counter_stays_exact_while_all_nodes_evict", 3) else {
        return;
    };
    let working = AtomicU64::new(3);
    std::thread::scope(|scope| {
        for node in &nodes {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    node.word().fetch_add(1, Ordering::SeqCst);
                }
                working.fetch_sub(1, Ordering::SeqCst);
            });
            scope.spawn(|| {
                while working.load(Ordering::SeqCst) > 0 {
                    // Refused while too many wait: then there are enough.
                    node.dsm.evict(PAGE);
                    std::thread::yield_now();
                }
            });
        }
    });
    for node in &nodes {
        assert_eq!(node.word().load(Ordering::SeqCst), 3 * ROUNDS);
    }
}
