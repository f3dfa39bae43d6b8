//! What the engine does on its own account: it reads ahead, and takes some loads for stores.

use std::sync::atomic::{AtomicU64, Ordering};

use giantvm_core::testing::skip;
use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, NodeId, PageIndex, PageSize};
use giantvm_dsm::engine::{Dsm, DsmOptions, DsmStats, FaultKind, Handlers};
use giantvm_dsm::protocol::{CoherenceProtocol, Directory, HomeMap, Ivy, Lease};
use giantvm_dsm::sync::OwnPages;
use giantvm_dsm::uffd::Support;
use giantvm_dsm::view::Region;
use giantvm_transport::inproc;

const PAGES: usize = 256;

/// A word on each page.
#[derive(zerocopy::FromBytes)]
#[repr(C)]
struct Shared([OwnPages<AtomicU64>; PAGES]);

struct Node {
    dsm: Dsm,
    shared: Region<Shared>,
}

impl Node {
    fn word(&self, page: usize) -> &AtomicU64 {
        &self.shared.0[page].0
    }
}

/// Two nodes of which the first is home to everything.
fn pair<P: CoherenceProtocol>(test: &str, options: DsmOptions) -> Option<[Node; 2]> {
    if !Support::probe().missing() {
        skip(test, "userfaultfd is not usable");
        return None;
    }
    let limits = Limits::for_pages(PageSize::K4);
    let transports = inproc::cluster(2, Epoch::FIRST, limits).unwrap();
    let nodes = transports.into_iter().map(|transport| {
        let homes = HomeMap::even(PAGES as u64, [NodeId::ZERO]);
        let (size, handlers) = (PageSize::K4, Handlers::default());
        let dsm =
            Dsm::start_with::<P>(transport, Epoch::FIRST, size, homes, handlers, options).unwrap();
        let shared = Region::new(dsm.mapping(), PageIndex(0)).unwrap();
        Node { dsm, shared }
    });
    nodes.collect::<Vec<_>>().try_into().ok()
}

/// The first node writes all pages, the second reads them in order. What that cost the second.
fn walk<P: CoherenceProtocol>(test: &str, options: DsmOptions) -> Option<DsmStats> {
    visit::<P>(test, options, |page| page)
}

/// The same, page `nth(0)` first.
fn visit<P: CoherenceProtocol>(
    test: &str,
    options: DsmOptions,
    nth: impl Fn(usize) -> usize,
) -> Option<DsmStats> {
    let [home, reader] = pair::<P>(test, options)?;
    for page in 0..PAGES {
        home.word(page).store(page as u64 + 1, Ordering::SeqCst);
    }
    for page in (0..PAGES).map(nth) {
        assert_eq!(reader.word(page).load(Ordering::SeqCst), page as u64 + 1);
    }
    Some(reader.dsm.stats())
}

#[test]
fn a_walk_through_memory_faults_on_few_of_its_pages() {
    let test = "a_walk_through_memory_faults_on_few_of_its_pages";
    let mut off = DsmOptions::default();
    off.read_ahead = 0;
    let Some(stats) = walk::<Directory>(test, off) else {
        return;
    };
    assert_eq!(stats.faults(FaultKind::RemoteRead), PAGES as u64);
    assert_eq!(stats.read_ahead, 0);
    for walk in [walk::<Directory>, walk::<Ivy>, walk::<Lease>] {
        let stats = walk(test, DsmOptions::default()).unwrap();
        // How many the thread catches up with depends on who runs when.
        assert!(stats.read_ahead > PAGES as u64 / 2, "{stats:?}");
        assert_eq!(stats.pages_received, PAGES as u64, "none came twice");
    }
}

/// Each node in turn reads a word and writes it. Transactions that took in all.
fn turns(test: &str, options: DsmOptions) -> Option<(u64, u64)> {
    let nodes = pair::<Directory>(test, options)?;
    for turn in 0..40 {
        let word = nodes[turn % 2].word(0);
        let seen = word.load(Ordering::SeqCst);
        assert_eq!(seen, turn as u64);
        word.store(seen + 1, Ordering::SeqCst);
    }
    let stats = nodes.map(|node| node.dsm.stats());
    let sum = |count: fn(&DsmStats) -> u64| stats.iter().map(count).sum();
    let all = |stats: &DsmStats| FaultKind::ALL.map(|kind| stats.faults(kind)).iter().sum();
    Some((sum(all), sum(|stats| stats.guesses)))
}

#[test]
fn a_word_that_is_read_and_written_by_turns_costs_one_transaction_a_turn() {
    let test = "a_word_that_is_read_and_written_by_turns_costs_one_transaction_a_turn";
    let mut off = DsmOptions::default();
    off.migratory = false;
    let Some((transactions, guesses)) = turns(test, off) else {
        return;
    };
    // The very first touch is one.
    assert_eq!((transactions, guesses), (79, 0));
    let (transactions, guesses) = turns(test, DsmOptions::default()).unwrap();
    assert!(guesses >= 28, "{guesses}");
    assert_eq!(transactions, 79 - guesses);
}

#[test]
fn of_pages_near_one_another_that_are_wanted_in_no_order_most_come_unasked() {
    let test = "of_pages_near_one_another_that_are_wanted_in_no_order_most_come_unasked";
    // Every page once, and neither of two that follow one another near the other.
    let nth = |count: usize| count * 101 % PAGES;
    let mut off = DsmOptions::default();
    off.read_ahead = 0;
    let Some(stats) = visit::<Directory>(test, off, nth) else {
        return;
    };
    assert_eq!(stats.faults(FaultKind::RemoteRead), PAGES as u64);
    let on = DsmOptions::default();
    let all = [
        visit::<Directory>(test, on, nth),
        visit::<Ivy>(test, on, nth),
        visit::<Lease>(test, on, nth),
    ];
    for stats in all.into_iter().flatten() {
        // Each of four blocks is asked for with its eighth page.
        assert!(stats.read_ahead > PAGES as u64 / 2, "{stats:?}");
        assert_eq!(stats.pages_received, PAGES as u64, "none came twice");
    }
}
