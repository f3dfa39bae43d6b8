#![expect(unsafe_code, reason = "asks the system which pages take memory")]
//! Nodes with little memory share more than any of them has, over real memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use giantvm_core::testing::skip;
use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, NodeId, PageIndex, PageSize};
use giantvm_dsm::backing::{Choice, Mapping};
use giantvm_dsm::engine::{Dsm, DsmOptions, Handlers, MemoryBudget, MemoryStats, StartError};
use giantvm_dsm::protocol::{CoherenceProtocol, Directory, HomeMap, Ivy, Lease};
use giantvm_dsm::sync::{Barrier, OwnPages};
use giantvm_dsm::uffd::Support;
use giantvm_dsm::view::Region;
use giantvm_transport::{Transport, inproc};
use zerocopy::FromBytes;

const SIZE: PageSize = PageSize::K4;
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(FromBytes)]
#[repr(C)]
struct Shared<const PAGES: usize> {
    meet: OwnPages<Barrier>,
    words: [OwnPages<AtomicU64>; PAGES],
}

/// What a node works on.
struct Node<'a, const PAGES: usize> {
    number: u8,
    mapping: &'a Mapping,
    shared: &'a Shared<PAGES>,
}

impl<const PAGES: usize> Node<'_, PAGES> {
    fn word(&self, page: usize) -> &AtomicU64 {
        &self.shared.words[page]
    }

    /// Pages that take memory here, as the system says.
    fn resident(&self) -> usize {
        let mut present = vec![0_u8; self.mapping.len() / SIZE.bytes()];
        let (start, len) = (self.mapping.base().as_ptr(), self.mapping.len());
        // SAFETY: the vector has a byte for each page of the mapping, which lives through the call.
        let done = unsafe { libc::mincore(start.cast(), len, present.as_mut_ptr()) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        present.iter().filter(|&&page| page & 1 == 1).count()
    }
}

/// How long wishes may take. What a protocol cannot give up stays above the budget for ever.
const SETTLING: Duration = Duration::from_secs(3);

/// What became of a node's memory, once wishes that were under way are answered.
fn settled(dsm: &Dsm, budget: u64) -> MemoryStats {
    let deadline = Instant::now() + SETTLING;
    loop {
        let memory = dsm.stats().memory;
        if memory.resident <= budget || Instant::now() > deadline {
            return memory;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs `work` on nodes that give so many pages each; what each node counted.
fn on_nodes<P: CoherenceProtocol, const PAGES: usize>(
    test: &str,
    budgets: &[u64],
    backing: Choice,
    work: impl Fn(&Node<'_, PAGES>) + Sync,
) -> Option<Vec<MemoryStats>> {
    let support = Support::probe();
    if !support.missing() || backing == Choice::Minor && !support.minor() {
        skip(test, "userfaultfd is not usable");
        return None;
    }
    let count = budgets.len();
    let ends = inproc::cluster(count, Epoch::FIRST, Limits::for_pages(SIZE)).unwrap();
    let pages = SIZE.pages_for(size_of::<Shared<PAGES>>() as u64);
    let homes = NodeId::first(count).zip(budgets.iter().copied());
    let homes = HomeMap::weighted(pages, homes).unwrap();
    let (work, parties) = (&work, u32::try_from(count).unwrap());
    let run = |end: Arc<dyn Transport>, budget: u64, homes: HomeMap| {
        let mut options = DsmOptions::default();
        options.backing = backing;
        options.memory = Some(MemoryBudget(budget * SIZE.bytes() as u64));
        let (number, handlers) = (end.local().get(), Handlers::default());
        let dsm = Dsm::start_with::<P>(end, Epoch::FIRST, SIZE, homes, handlers, options).unwrap();
        let shared: Region<Shared<PAGES>> = Region::new(dsm.mapping(), PageIndex(0)).unwrap();
        let node = Node {
            number,
            mapping: dsm.mapping(),
            shared: &shared,
        };
        shared.meet.wait(parties);
        work(&node);
        shared.meet.wait(parties);
        let memory = settled(&dsm, budget);
        drop(shared);
        dsm.finish(PATIENCE).unwrap();
        memory
    };
    std::thread::scope(|scope| {
        let nodes = ends.into_iter().zip(budgets);
        let threads: Vec<_> = nodes
            .map(|(end, &budget)| {
                let homes = homes.clone();
                scope.spawn(move || run(end, budget, homes))
            })
            .collect();
        Some(threads.into_iter().map(|t| t.join().unwrap()).collect())
    })
}

/// Reads and writes four times what the first node gives, which the second one has room for.
fn a_scan_stays_within_the_budget(test: &str, backing: Choice) {
    const BUDGET: usize = 256;
    const PAGES: usize = 4 * BUDGET;
    // Its one thread, and wishes under way: the thread faults while they are answered.
    const SLACK: usize = 64;
    let budgets = [BUDGET as u64, 8 * BUDGET as u64];
    let stats = on_nodes::<Directory, PAGES>(test, &budgets, backing, |node| {
        if node.number > 0 {
            return;
        }
        for round in 1..=3 {
            for page in 0..PAGES {
                let word = node.word(page);
                assert_eq!(word.load(Ordering::Relaxed), round - 1);
                word.store(round, Ordering::Relaxed);
                if page % 16 == 0 {
                    let resident = node.resident();
                    assert!(resident <= BUDGET + SLACK, "{resident} pages at {page}");
                }
            }
        }
        for page in 0..PAGES {
            assert_eq!(node.word(page).load(Ordering::Relaxed), 3);
        }
    });
    let Some(stats) = stats else { return };
    let memory = stats[0];
    assert!(memory.evictions_dirty > PAGES as u64, "{memory:?}");
    assert!(
        memory.most_resident <= (BUDGET + SLACK) as u64,
        "{memory:?}"
    );
    assert!(memory.resident <= BUDGET as u64, "{memory:?}");
}

#[test]
fn a_node_that_scans_four_times_its_budget_takes_no_more_memory_than_that() {
    let test = "a_node_that_scans_four_times_its_budget_takes_no_more_memory_than_that";
    a_scan_stays_within_the_budget(test, Choice::Minor);
}

#[test]
fn so_it_does_where_pages_are_copied_in() {
    a_scan_stays_within_the_budget("so_it_does_where_pages_are_copied_in", Choice::Missing);
}

#[test]
fn pages_that_are_used_all_the_time_are_spared() {
    const BUDGET: usize = 256;
    let test = "pages_that_are_used_all_the_time_are_spared";
    let budgets = [BUDGET as u64, 8 * BUDGET as u64];
    let stats = on_nodes::<Directory, { 4 * BUDGET }>(test, &budgets, Choice::Minor, |node| {
        if node.number > 0 {
            return;
        }
        for page in BUDGET..4 * BUDGET {
            node.word(page).store(1, Ordering::Relaxed);
            for hot in 3 * BUDGET..3 * BUDGET + 8 {
                node.word(hot).fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let Some(stats) = stats else { return };
    assert!(stats[0].second_chances > 0, "{:?}", stats[0]);
}

/// All nodes are full, and each adds to words on all pages.
fn counts_are_exact<P: CoherenceProtocol>(test: &str) -> Option<Vec<MemoryStats>> {
    const NODES: usize = 3;
    const BUDGET: u64 = 32;
    // As many as there is room for, with the barrier's.
    const PAGES: usize = 47;
    const ROUNDS: usize = 600;
    on_nodes::<P, PAGES>(test, &[BUDGET; NODES], Choice::Auto, |node| {
        let mut at = usize::from(node.number);
        for _ in 0..ROUNDS {
            node.word(at % PAGES).fetch_add(1, Ordering::Relaxed);
            at = at.wrapping_mul(31).wrapping_add(7) % 10_007;
        }
        node.shared.meet.wait(3);
        let words = node.shared.words.iter();
        let sum: u64 = words.map(|word| word.load(Ordering::Relaxed)).sum();
        assert_eq!(sum, (NODES * ROUNDS) as u64);
    })
}

#[test]
fn counts_are_exact_on_nodes_that_are_all_full() {
    let stats = counts_are_exact::<Directory>("counts_are_exact_on_nodes_that_are_all_full");
    for memory in stats.into_iter().flatten() {
        let left = memory.evictions_clean + memory.evictions_dirty;
        assert!(left > 0, "{memory:?}");
    }
}

#[test]
fn counts_are_exact_on_full_nodes_under_ivy() {
    counts_are_exact::<Ivy>("counts_are_exact_on_full_nodes_under_ivy");
}

#[test]
fn counts_are_exact_on_full_nodes_under_leases() {
    let stats = counts_are_exact::<Lease>("counts_are_exact_on_full_nodes_under_leases");
    for memory in stats.into_iter().flatten() {
        let left = memory.evictions_clean + memory.evictions_dirty;
        assert!(left > 0, "{memory:?}");
    }
}

#[test]
fn a_node_with_more_homes_than_its_budget_has_room_for_is_told_so() {
    let mut ends = inproc::cluster(1, Epoch::FIRST, Limits::for_pages(SIZE)).unwrap();
    let homes = HomeMap::even(100, NodeId::first(1));
    let mut options = DsmOptions::default();
    options.memory = Some(MemoryBudget(110 * SIZE.bytes() as u64));
    let handlers = Handlers::default();
    let end = ends.remove(0);
    let started = Dsm::start_with::<Directory>(end, Epoch::FIRST, SIZE, homes, handlers, options);
    let Err(StartError::Memory { homed, room, .. }) = started else {
        panic!("{started:?}");
    };
    assert_eq!((homed, room), (100, 94));
}
