//! Which pages a node calls hot, on real memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use giantvm_core::testing::skip;
use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, NodeId, NodeSet, PageIndex, PageSize};
use giantvm_dsm::engine::{Dsm, DsmOptions, Handlers, PageHeat, Waiting};
use giantvm_dsm::protocol::{CoherenceProtocol, Directory, HomeMap, Ivy, Lease};
use giantvm_dsm::sync::OwnPages;
use giantvm_dsm::uffd::Support;
use giantvm_dsm::view::Region;
use giantvm_transport::inproc;

const PAGES: usize = 64;
/// The page that two nodes write by turns.
const HOT: usize = 37;
const TURNS: u32 = 200;

/// A word on each page.
#[derive(zerocopy::FromBytes)]
#[repr(C)]
struct Shared([OwnPages<AtomicU64>; PAGES]);

/// Nodes of which the first is home to everything; none without userfaultfd.
fn nodes<P: CoherenceProtocol>(test: &str, count: usize, options: DsmOptions) -> Option<Vec<Dsm>> {
    if !Support::probe().missing() {
        skip(test, "userfaultfd is not usable");
        return None;
    }
    let limits = Limits::for_pages(PageSize::K4);
    let transports = inproc::cluster(count, Epoch::FIRST, limits).unwrap();
    let nodes = transports.into_iter().map(|transport| {
        let homes = HomeMap::even(PAGES as u64, [NodeId::ZERO]);
        let (size, handlers) = (PageSize::K4, Handlers::default());
        Dsm::start_with::<P>(transport, Epoch::FIRST, size, homes, handlers, options).unwrap()
    });
    Some(nodes.collect())
}

fn share(node: &Dsm) -> Region<Shared> {
    Region::new(node.mapping(), PageIndex(0)).unwrap()
}

/// Of three nodes two write one page by turns, and every other page once. The nodes after that.
fn fight<P: CoherenceProtocol>(test: &str, options: DsmOptions) -> Option<Vec<Dsm>> {
    let nodes = nodes::<P>(test, 3, options)?;
    let writers = [share(&nodes[1]), share(&nodes[2])];
    for page in 0..PAGES {
        writers[0].0[page].0.fetch_add(1, Ordering::SeqCst);
    }
    for turn in 0..TURNS {
        let writer = &writers[turn as usize % 2];
        writer.0[HOT].0.fetch_add(1, Ordering::SeqCst);
    }
    let count = writers[0].0[HOT].0.load(Ordering::SeqCst);
    assert_eq!(count, u64::from(TURNS) + 1);
    Some(nodes)
}

/// Whom the two nodes meet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meet {
    EachOther,
    OnlyTheHome,
}

fn the_page_is_on_top<P: CoherenceProtocol>(test: &str, meet: Meet) {
    let Some(nodes) = fight::<P>(test, DsmOptions::default()) else {
        return;
    };
    let node = |number: u8| NodeId::new(number).unwrap();
    for (here, other) in [(&nodes[1], node(2)), (&nodes[2], node(1))] {
        let pages = here.heat(5);
        let hottest = pages[0];
        assert_eq!(hottest.page, PageIndex(HOT as u64), "{pages:?}");
        // The first time it may come ahead of the thread; and the kernel may report a fault again
        // that was answered meanwhile.
        let asked = TURNS / 2 - 1..TURNS;
        assert!(asked.contains(&hottest.writes), "{hottest:?}");
        let lost = TURNS / 2 - 1..=TURNS / 2 + 1;
        assert!(lost.contains(&hottest.taken), "{hottest:?}");
        assert!((1..=hottest.taken).contains(&hottest.turns), "{hottest:?}");
        let met = hottest.peers.without(NodeId::ZERO);
        let expected = match meet {
            Meet::EachOther => NodeSet::only(other),
            Meet::OnlyTheHome => NodeSet::EMPTY,
        };
        assert_eq!(met, expected, "{hottest:?}");
        assert!(pages.len() <= 5);
        let cold = |page: &PageHeat| page.heat() < 5;
        assert!(pages[1..].iter().all(cold), "{pages:?}");
    }
}

#[test]
fn a_page_that_two_nodes_fight_for_is_the_hottest_of_both() {
    let test = "a_page_that_two_nodes_fight_for_is_the_hottest_of_both";
    the_page_is_on_top::<Directory>(test, Meet::EachOther);
}

#[test]
fn a_page_that_two_nodes_fight_for_is_the_hottest_under_ivy() {
    let test = "a_page_that_two_nodes_fight_for_is_the_hottest_under_ivy";
    the_page_is_on_top::<Ivy>(test, Meet::EachOther);
}

#[test]
fn a_page_that_two_nodes_fight_for_is_the_hottest_under_leases() {
    let test = "a_page_that_two_nodes_fight_for_is_the_hottest_under_leases";
    the_page_is_on_top::<Lease>(test, Meet::OnlyTheHome);
}

#[test]
fn waits_are_told_of_the_thread_that_waited_and_of_what() {
    let test = "waits_are_told_of_the_thread_that_waited_and_of_what";
    let Some(nodes) = fight::<Directory>(test, DsmOptions::default()) else {
        return;
    };
    let this = rustix::thread::gettid().as_raw_nonzero().get();
    for node in &nodes[1..] {
        let stalls = node.stalls(3);
        let [thread] = stalls.threads[..] else {
            panic!("one thread waited: {stalls:?}");
        };
        assert_eq!(thread.thread, u32::try_from(this).unwrap());
        assert_eq!(thread.reads + thread.writes, node.stats().faults_remote());
        assert!(thread.writes >= u64::from(TURNS / 2 - 1), "{thread:?}");
        let group = stalls.groups[0];
        assert_eq!(group.first, PageIndex(32), "the hot page's group");
        assert!(
            group.writes >= TURNS / 2 - 1 && group.stall <= thread.stall,
            "{stalls:?}"
        );
        assert!(group.stall > std::time::Duration::ZERO);
    }
    // The home answers itself and uses nothing.
    assert_eq!(nodes[0].stalls(3).threads, []);
}

#[test]
fn nothing_is_noted_when_it_is_off() {
    let mut off = DsmOptions::default();
    off.heat = false;
    let Some(nodes) = fight::<Directory>("nothing_is_noted_when_it_is_off", off) else {
        return;
    };
    assert!(nodes.iter().all(|node| node.heat(20).is_empty()));
    assert!(nodes.iter().all(|node| node.stalls(20).threads.is_empty()));
}

/// Prints what noting heat costs a remote write fault: `cargo test --release -p giantvm-dsm --test
/// engine_heat -- --ignored --nocapture`.
#[test]
#[ignore = "it measures"]
fn what_it_costs_a_fault() {
    const ROUNDS: usize = 400;
    const FAULTS: usize = 100;
    let pair = |heat| {
        let mut options = DsmOptions::default();
        (options.heat, options.read_ahead) = (heat, 0);
        options.waiting = Waiting::Blocking;
        nodes::<Directory>("what_it_costs_a_fault", 2, options)
    };
    let (Some(on), Some(off)) = (pair(true), pair(false)) else {
        return;
    };
    let mut sides =
        [on, off].map(|nodes| ([share(&nodes[0]), share(&nodes[1])], Vec::new(), nodes));
    for fault in 0..ROUNDS * FAULTS {
        // By turns, so that whatever else the machine does hits both.
        let (words, times, _) = &mut sides[fault / FAULTS % 2];
        let page = fault / 2 % PAGES;
        let word = &words[fault % 2].0[page].0;
        let start = Instant::now();
        word.fetch_add(1, Ordering::SeqCst);
        times.push(start.elapsed());
    }
    for (name, (_, times, _)) in ["on", "off"].into_iter().zip(&mut sides) {
        times.sort_unstable();
        let at = |percent: usize| times[times.len() * percent / 100];
        println!(
            "heat {name}: p10 {:?}, p25 {:?}, p50 {:?}",
            at(10),
            at(25),
            at(50)
        );
    }
}
