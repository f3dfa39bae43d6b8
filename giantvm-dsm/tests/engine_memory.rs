//! Several nodes in one process share real memory: userfaultfd, the pump, the protocols.

mod support;

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use giantvm_dsm::engine::DsmStats;
use giantvm_dsm::protocol::{CoherenceProtocol, Directory, Ivy, Lease};
use giantvm_dsm::sync::{Lock, OwnPages};

#[derive(zerocopy::FromBytes)]
#[repr(C)]
struct Body {
    counter: OwnPages<AtomicU64>,
    account: OwnPages<Lock<[u64; 2]>>,
    table: [OwnPages<AtomicU64>; 16],
}

type Shared = support::Shared<Body>;

/// What each node counted; nothing without userfaultfd.
fn on_nodes<P: CoherenceProtocol>(
    test: &str,
    nodes: u8,
    work: impl Fn(u8, &Shared) + Sync,
) -> Vec<DsmStats> {
    let done = support::on_nodes::<P, Body, ()>(test, nodes, work);
    done.into_iter()
        .flatten()
        .map(|((), stats)| stats)
        .collect()
}

fn counts_are_exact<P: CoherenceProtocol>(test: &str) {
    const ROUNDS: u64 = 500;
    let stats = on_nodes::<P>(test, 3, |_, shared| {
        let body = &shared.body;
        for _ in 0..ROUNDS {
            body.counter.0.fetch_add(1, Ordering::Relaxed);
            let mut account = body.account.0.lock();
            account[0] += 1;
            account[1] += account[0];
        }
        // Every node sees the exact end once all are there.
        shared.meet(3);
        let total = 3 * ROUNDS;
        assert_eq!(body.counter.0.load(Ordering::Relaxed), total);
        assert_eq!(*body.account.0.lock(), [total, total * (total + 1) / 2]);
    });
    for stats in stats {
        assert!(stats.faults_remote() > 0, "{stats:?}");
    }
}

#[test]
fn atomic_counts_and_a_lock_are_exact_over_three_nodes() {
    counts_are_exact::<Directory>("atomic_counts_and_a_lock_are_exact_over_three_nodes");
}

#[test]
fn atomic_counts_and_a_lock_are_exact_under_ivy() {
    counts_are_exact::<Ivy>("atomic_counts_and_a_lock_are_exact_under_ivy");
}

#[test]
fn atomic_counts_and_a_lock_are_exact_under_leases() {
    counts_are_exact::<Lease>("atomic_counts_and_a_lock_are_exact_under_leases");
}

#[test]
fn pages_that_one_node_wrote_are_read_on_all_others_and_move_no_ownership() {
    // Not in shared memory: who waits there for others fetches pages too, as often as it comes.
    let written = Barrier::new(4);
    let stats = on_nodes::<Directory>("pages_one_node_wrote", 4, |node, shared| {
        let table = &shared.body.table;
        if node == 0 {
            for (word, value) in table.iter().zip(1..) {
                word.0.store(value, Ordering::Relaxed);
            }
        }
        written.wait();
        for _ in 0..3 {
            for (word, value) in table.iter().zip(1..) {
                assert_eq!(word.0.load(Ordering::Relaxed), value);
            }
        }
    });
    for stats in stats.iter().skip(1) {
        // Most come ahead of a fault.
        let fetched = stats.pages_received;
        assert!(
            (16..64).contains(&fetched),
            "each page is fetched once: {stats:?}"
        );
    }
}
