//! Pages travel as parcels, and are the same pages afterwards.

mod drivers;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use giantvm_core::testing::skip;
use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, NodeId, PageIndex, PageSize};
use giantvm_dsm::engine::parcel::{Packing, ParcelStats, Parcels, When};
use giantvm_dsm::engine::{Dsm, DsmOptions, Handlers};
use giantvm_dsm::protocol::{CoherenceProtocol, Directory, HomeMap, Ivy, Lease};
use giantvm_dsm::uffd::Support;
use giantvm_dsm::view::Region;
use giantvm_transport::Transport as _;
use giantvm_transport::inproc::{self, InprocTransport};

use drivers::{Access, Drivers, WORDS};

const PAGE: PageIndex = PageIndex(0);

fn every_byte_arrives<P: CoherenceProtocol>() {
    let mut all = ParcelStats::default();
    for seed in 0..8 {
        let cost = drivers::check::<P>(seed, 120);
        all = all.plus(&cost.unwrap_or_else(|what| panic!("{}, seed {seed}: {what}", P::NAME)));
    }
    for packing in Packing::ALL {
        assert!(
            all.count(packing) > 0,
            "{}: no {packing:?}: {all:?}",
            P::NAME
        );
    }
    assert!(all.packed < all.bytes);
}

#[test]
fn under_every_protocol_every_byte_arrives_however_it_was_packed() {
    every_byte_arrives::<Directory>();
    every_byte_arrives::<Ivy>();
    every_byte_arrives::<Lease>();
}

#[test]
fn a_delta_against_a_copy_that_was_not_named_is_refused() {
    drivers::check_forged::<Directory>().unwrap();
    drivers::check_forged::<Ivy>().unwrap();
    drivers::check_forged::<Lease>().unwrap();
}

fn three(parcels: Parcels) -> Drivers<Directory> {
    Drivers::new(3, 3, parcels)
}

/// Nodes that write one word of a page in the given order, and what the last page that moved cost.
fn last_move(mut drivers: Drivers<Directory>, writers: &[usize]) -> (Packing, u64) {
    let fill = |word| Access {
        node: writers[0],
        page: PAGE,
        word,
        store: Some(word as u64 * 0x9e37_79b9_7f4a_7c15),
    };
    let filled: Vec<_> = (1..WORDS).map(fill).collect();
    drivers.access(&filled, |_, _| Ok(())).unwrap();
    let mut before = drivers.cost();
    let mut cost = before;
    for (turn, &node) in writers.iter().enumerate() {
        let access = Access {
            node,
            page: PAGE,
            word: 0,
            store: Some(turn as u64),
        };
        before = cost;
        drivers.access(&[access], |_, _| Ok(())).unwrap();
        cost = drivers.cost();
    }
    let moved = |packing: &Packing| cost.count(*packing) == before.count(*packing) + 1;
    let packing = Packing::ALL
        .into_iter()
        .find(moved)
        .expect("one page moved");
    (packing, cost.packed - before.packed)
}

#[test]
fn from_its_third_move_on_a_page_moves_as_what_changed_also_when_its_home_is_a_third_node() {
    let mut deltas = Parcels::ALWAYS;
    deltas.lz4 = When::Never;
    // The page's home is node 0: with it, and without.
    assert_eq!(last_move(three(deltas), &[1, 0, 1]), (Packing::Whole, 4096));
    assert_eq!(
        last_move(three(deltas), &[1, 0, 1, 0]),
        (Packing::Delta, 16 + 8 + 64)
    );
    assert_eq!(
        last_move(three(deltas), &[1, 2, 1, 2]),
        (Packing::Delta, 16 + 8 + 64)
    );
    let mut off = deltas;
    off.standby = 0;
    assert_eq!(last_move(three(off), &[1, 0, 1, 0]), (Packing::Whole, 4096));
}

#[test]
fn a_copy_that_the_page_has_moved_on_from_elsewhere_is_answered_by_the_whole_page() {
    let mut deltas = Parcels::ALWAYS;
    deltas.lz4 = When::Never;
    // Node 2 has never seen what node 1 had last.
    let (packing, bytes) = last_move(three(deltas), &[1, 0, 1, 0, 2, 0, 2, 1]);
    assert_eq!((packing, bytes), (Packing::Whole, 4096));
}

#[test]
fn on_one_host_pages_that_are_not_zero_travel_as_they_are() {
    assert_eq!(
        last_move(three(Parcels::AUTO), &[1, 0, 1, 0]),
        (Packing::Whole, 4096)
    );
}

#[test]
fn over_a_network_pages_go_as_what_changed_and_not_compressed_until_it_was_seen_to_be_slow() {
    let apart = Drivers::apart(3, 3, Parcels::AUTO);
    assert_eq!(
        last_move(apart, &[1, 0, 1, 0]),
        (Packing::Delta, 16 + 8 + 64)
    );
}

#[test]
fn when_pages_were_seen_to_arrive_slowly_the_next_ones_come_compressed() {
    let mut drivers = Drivers::<Directory>::apart(2, 96, Parcels::AUTO);
    let word = |node, page, store| Access {
        node,
        page: PageIndex(page),
        word: 0,
        store,
    };
    let written: Vec<_> = (0..48).map(|page| word(0, page, Some(7))).collect();
    drivers.access(&written, |_, _| Ok(())).unwrap();
    // No machine is faster than this.
    drivers.tamper = |frame| {
        if frame.payload.len() > WORDS {
            std::thread::sleep(Duration::from_micros(100));
        }
    };
    let mut read = |pages: Range<u64>| {
        let loads: Vec<_> = pages.map(|page| word(1, page, None)).collect();
        drivers.access(&loads, |_, _| Ok(())).unwrap();
        drivers.cost().count(Packing::Lz4)
    };
    assert_eq!(read(0..24), 0, "nothing was known yet");
    assert_eq!(read(24..48), 24);
}

/// Two real nodes, the first of which is home to a page, write words of it by turns.
fn turns<P: CoherenceProtocol>(test: &str, parcels: Parcels) -> Option<(ParcelStats, u64)> {
    const TURNS: u64 = 200;
    if !Support::probe().missing() {
        skip(test, "userfaultfd is not usable");
        return None;
    }
    let limits = Limits::for_pages(PageSize::K4);
    let transports = inproc::cluster(2, Epoch::FIRST, limits).unwrap();
    let mut options = DsmOptions::default();
    options.parcels = parcels;
    options.migratory = false;
    let start = |transport: &Arc<InprocTransport>| {
        let homes = HomeMap::even(4, [NodeId::ZERO]);
        let (size, handlers) = (PageSize::K4, Handlers::default());
        let transport = transport.clone();
        Dsm::start_with::<P>(transport, Epoch::FIRST, size, homes, handlers, options).unwrap()
    };
    let nodes: Vec<_> = transports.iter().map(start).collect();
    let regions: Vec<Region<[AtomicU64; WORDS]>> = nodes
        .iter()
        .map(|node| Region::new(node.mapping(), PAGE).unwrap())
        .collect();
    for (at, word) in regions[0].iter().enumerate() {
        word.store(at as u64 * 0x9e37_79b9_7f4a_7c15 + 1, Ordering::SeqCst);
    }
    let counter = |turn: u64| &regions[usize::try_from(turn % 2).unwrap()][9];
    counter(0).store(0, Ordering::SeqCst);
    for turn in 0..TURNS {
        assert_eq!(counter(turn).fetch_add(1, Ordering::SeqCst), turn);
    }
    for (at, word) in regions[1].iter().enumerate().filter(|&(at, _)| at != 9) {
        let expected = at as u64 * 0x9e37_79b9_7f4a_7c15 + 1;
        assert_eq!(word.load(Ordering::SeqCst), expected);
    }
    let bytes = transports.iter().map(|end| end.traffic().bytes_sent).sum();
    let cost = nodes.iter().map(|node| node.stats().parcels);
    Some((cost.reduce(|a, b| a.plus(&b)).unwrap(), bytes))
}

#[test]
fn a_word_that_two_nodes_write_by_turns_moves_less_than_300_bytes_a_turn() {
    let test = "a_word_that_two_nodes_write_by_turns_moves_less_than_300_bytes_a_turn";
    for turns in [turns::<Directory>, turns::<Ivy>, turns::<Lease>] {
        let Some((plain, whole)) = turns(test, Parcels::PLAIN) else {
            return;
        };
        let (cost, bytes) = turns(test, Parcels::ALWAYS).unwrap();
        let moves = plain.count(Packing::Whole);
        assert!(moves >= 199 && whole > 199 * 4096, "{plain:?}");
        assert_eq!(cost.bytes, moves * 4096, "as many pages moved");
        let deltas = cost.count(Packing::Delta) + cost.count(Packing::Lz4Delta);
        assert!(deltas >= moves - 3, "{cost:?}");
        assert!(
            bytes < 300 * moves + 3 * 4096,
            "{bytes} bytes for {moves} moves"
        );
    }
}
