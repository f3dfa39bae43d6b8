//! The races of a whole cluster.
//!
//! What a test checks at its end it reads with an atomic add of nothing, as a protocol with leases
//! may show a thread that heard of the end beside the memory an old copy.

use giantvm_core::PageIndex;
use shuttle::sync::{Arc, Barrier};

use crate::cluster::{Cluster, Local};
use crate::explore::explore;
use crate::ledger::{Race, Seen};
use crate::protocol::{CoherenceProtocol, Rights};
use crate::watched::Subject;

/// At home on the last of three nodes, if there are three pages.
pub(crate) const PAGE: PageIndex = PageIndex(2);
const ALL: (usize, usize) = (3, 3);

pub(crate) fn add(local: &Local, page: PageIndex, word: usize, by: u64) -> u64 {
    local.memory.fetch_add(page, word, by).unwrap()
}

pub(crate) fn load(local: &Local, page: PageIndex, word: usize) -> u64 {
    local.memory.load(page, word).unwrap()
}

pub(crate) fn store(local: &Local, page: PageIndex, word: usize, value: u64) {
    local.memory.store(page, word, value).unwrap();
}

/// Runs `body` on a new cluster under every schedule, and wants to have seen the race.
pub(crate) fn race<P: CoherenceProtocol>(
    subject: Subject<P>,
    race: Option<Race>,
    body: impl Fn(&Cluster) + Send + Sync + 'static,
) {
    let seen = Seen::default();
    let expected = seen.clone();
    explore(move || {
        let cluster = Cluster::start(subject, ALL, &seen);
        body(&cluster);
        cluster.stop();
    });
    if let Some(race) = race.filter(|_| subject.takes) {
        expected.expect(race);
    }
}

pub(crate) fn two_writers_upgrade_the_same_shared_page_at_once<P: CoherenceProtocol>(
    subject: Subject<P>,
) {
    race(subject, Some(Race::TwoUpgrades), |cluster| {
        let together = Arc::new(Barrier::new(3));
        let mut before = cluster.on_all(move |at, local| {
            load(&local, PAGE, 0);
            together.wait();
            let weight = 1 << (8 * at);
            (add(&local, PAGE, 0, weight), weight)
        });
        before.sort_unstable();
        let mut total = 0;
        for (before, weight) in before {
            assert_eq!(before, total, "an addition was made to an old value");
            total += weight;
        }
        assert_eq!(add(&cluster.nodes[0], PAGE, 0, 0), total);
    });
}

pub(crate) fn an_invalidation_arrives_between_a_fault_and_its_grant<P: CoherenceProtocol>(
    subject: Subject<P>,
) {
    race(subject, Some(Race::TakenWhileWaiting), |cluster| {
        cluster.on_all(|at, local| {
            let mut latest = [0; 3];
            for round in 0..2 {
                for (word, latest) in latest.iter_mut().enumerate() {
                    let value = load(&local, PAGE, word);
                    assert!(value >= *latest, "word {word} went back");
                    *latest = value;
                }
                assert_eq!(add(&local, PAGE, at, 1), round, "an own store was lost");
            }
        });
    });
}

pub(crate) fn a_reader_faults_while_its_page_is_being_taken<P: CoherenceProtocol>(
    subject: Subject<P>,
) {
    race(subject, Some(Race::FaultWhileTaken), |cluster| {
        cluster.on_all(|at, local| {
            for value in 1..=2 {
                let second = load(&local, PAGE, 1);
                let first = load(&local, PAGE, 0);
                assert!(first >= second, "the page went back: {first}, {second}");
                match at {
                    0 => {
                        store(&local, PAGE, 0, value);
                        store(&local, PAGE, 1, value);
                    }
                    at => {
                        add(&local, PAGE, 1 + at, 1);
                    }
                }
            }
        });
        assert_eq!(add(&cluster.nodes[1], PAGE, 1, 0), 2);
    });
}

pub(crate) fn a_page_is_pinned_while_another_node_asks_for_it<P: CoherenceProtocol>(
    subject: Subject<P>,
) {
    race(subject, Some(Race::WaitsForPinned), |cluster| {
        let ledger = cluster.ledger.clone();
        cluster.on_all(move |at, local| {
            if at != 1 {
                add(&local, PAGE, 0, 1);
                return;
            }
            let pin = local.pin(PAGE);
            // Not one step: exact only if no one else comes between.
            let value = load(&local, PAGE, 0);
            let node = giantvm_core::NodeId::new(1).unwrap();
            ledger.pinned(node, PAGE);
            store(&local, PAGE, 0, value + 1);
            let rights = local.memory.inspect(PAGE, |rights, _| rights);
            assert_eq!(rights, Some(Rights::Write), "a pinned page was taken");
            drop(pin);
        });
        assert_eq!(add(&cluster.nodes[0], PAGE, 0, 0), 3);
    });
}

pub(crate) fn a_page_is_evicted_while_it_is_asked_for<P: CoherenceProtocol>(subject: Subject<P>) {
    race(subject, Some(Race::EvictedWhileAsked), |cluster| {
        cluster.on_all(|_, local| {
            for _ in 0..2 {
                local.evict(PAGE);
                let value = load(&local, PAGE, 0);
                local.evict(PAGE);
                assert!(add(&local, PAGE, 0, 1) >= value, "the counter went back");
            }
        });
        assert_eq!(add(&cluster.nodes[0], PAGE, 0, 0), 6);
    });
}

pub(crate) fn counters_that_all_nodes_increment_are_exact<P: CoherenceProtocol>(
    subject: Subject<P>,
) {
    race(subject, None, |cluster| {
        let pages = [PageIndex(0), PAGE];
        cluster.on_all(move |at, local| {
            for round in 0..2 {
                add(&local, pages[(at + round) % 2], round, 1);
                add(&local, PAGE, 2, 1);
            }
        });
        let sum: u64 = pages
            .iter()
            .flat_map(|&page| (0..2).map(move |word| (page, word)))
            .map(|(page, word)| add(&cluster.nodes[1], page, word, 0))
            .sum();
        assert_eq!(sum, 6);
        assert_eq!(add(&cluster.nodes[1], PAGE, 2, 0), 6);
    });
}
