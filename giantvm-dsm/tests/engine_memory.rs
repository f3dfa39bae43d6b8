//! Several nodes in one process share real memory: userfaultfd, the pump, the default protocol.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use giantvm_core::testing::skip;
use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, NodeId, PageIndex, PageSize};
use giantvm_dsm::engine::{Dsm, FaultKind, Handlers};
use giantvm_dsm::protocol::{Directory, HomeMap};
use giantvm_dsm::sync::{Barrier, Lock, OwnPages};
use giantvm_dsm::uffd::Support;
use giantvm_dsm::view::Region;
use giantvm_transport::{Transport as _, inproc};

const PAGES: u64 = 64;
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(zerocopy::FromBytes)]
#[repr(C)]
struct Shared {
    start: OwnPages<Barrier>,
    end: OwnPages<Barrier>,
    counter: OwnPages<AtomicU64>,
    account: OwnPages<Lock<[u64; 2]>>,
    table: [OwnPages<AtomicU64>; 16],
}

/// Runs `work` on `nodes` nodes, each with its own memory, and returns what each counted.
fn on_nodes(
    test: &str,
    nodes: u8,
    work: impl Fn(u8, &Shared) + Sync,
) -> Option<Vec<giantvm_dsm::engine::DsmStats>> {
    if !Support::probe().missing() {
        skip(test, "userfaultfd is not usable");
        return None;
    }
    let transports = inproc::cluster(
        usize::from(nodes),
        Epoch::FIRST,
        Limits::for_pages(PageSize::K4),
    )
    .expect("a cluster of this size");
    std::thread::scope(|scope| {
        let threads: Vec<_> = transports
            .into_iter()
            .map(|transport| {
                let work = &work;
                scope.spawn(move || {
                    let homes = HomeMap::even(PAGES, NodeId::first(nodes.into()));
                    let number = transport.local().get();
                    let dsm = Dsm::start::<Directory>(
                        transport,
                        Epoch::FIRST,
                        PageSize::K4,
                        homes,
                        Handlers::default(),
                    )
                    .unwrap();
                    let shared: Region<Shared> = Region::new(dsm.mapping(), PageIndex(0)).unwrap();
                    shared.start.0.wait(nodes.into());
                    work(number, &shared);
                    shared.end.0.wait(nodes.into());
                    let stats = dsm.stats();
                    drop(shared);
                    dsm.finish(PATIENCE).unwrap();
                    stats
                })
            })
            .collect();
        Some(threads.into_iter().map(|t| t.join().unwrap()).collect())
    })
}

#[test]
fn atomic_counts_and_a_lock_are_exact_over_three_nodes() {
    const ROUNDS: u64 = 500;
    let stats = on_nodes("atomic_counts_over_three_nodes", 3, |_, shared| {
        for _ in 0..ROUNDS {
            shared.counter.0.fetch_add(1, Ordering::Relaxed);
            let mut account = shared.account.0.lock();
            account[0] += 1;
            account[1] += account[0];
        }
        // Every node sees the exact end once all are there; the first barrier is free again.
        shared.start.0.wait(3);
        let total = 3 * ROUNDS;
        assert_eq!(shared.counter.0.load(Ordering::Relaxed), total);
        assert_eq!(*shared.account.0.lock(), [total, total * (total + 1) / 2]);
    });
    for stats in stats.unwrap_or_default() {
        assert!(stats.faults_remote() > 0, "{stats:?}");
    }
}

#[test]
fn pages_that_one_node_wrote_are_read_on_all_others_and_move_no_ownership() {
    let stats = on_nodes("pages_one_node_wrote", 4, |node, shared| {
        if node == 0 {
            for (word, value) in shared.table.iter().zip(1..) {
                word.0.store(value, Ordering::Relaxed);
            }
        }
        shared.start.0.wait(4);
        for _ in 0..3 {
            for (word, value) in shared.table.iter().zip(1..) {
                assert_eq!(word.0.load(Ordering::Relaxed), value);
            }
        }
    });
    for stats in stats.unwrap_or_default().iter().skip(1) {
        let reads = stats.faults(FaultKind::RemoteRead);
        assert!(
            (16..64).contains(&reads),
            "each page is fetched once: {stats:?}"
        );
    }
}
