//! What several threads may find out together about the order of stores.

use giantvm_core::PageIndex;
use shuttle::sync::{Arc, Barrier};
use shuttle::thread;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::CoherenceProtocol;
use crate::races::{PAGE, load, race, store};
use crate::watched::Subject;

/// How often a reader looks for a message before it leaves.
const LOOKS: u64 = 100;

pub(crate) fn a_message_passed_through_two_pages_is_never_ahead_of_what_it_is_about<
    P: CoherenceProtocol,
>(
    subject: Subject<P>,
) {
    let passed = Arc::new(AtomicU64::new(0));
    let total = Arc::clone(&passed);
    race(subject, None, move |cluster| {
        let (data, flag) = (PageIndex(0), PageIndex(1));
        let (together, passed) = (Arc::new(Barrier::new(3)), Arc::clone(&passed));
        cluster.on_all(move |at, local| {
            // Old copies everywhere.
            assert!(load(&local, data, 0) == 0 && load(&local, flag, 0) == 0);
            together.wait();
            if at == 2 {
                store(&local, data, 0, 1);
                store(&local, flag, 0, 1);
                return;
            }
            for _ in 0..LOOKS {
                let told = load(&local, flag, 0);
                let found = load(&local, data, 0);
                assert!(found >= told, "the flag came before the data");
                if told == 1 {
                    passed.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                thread::yield_now();
            }
        });
    });
    assert!(
        total.load(Ordering::Relaxed) > 0,
        "no one ever saw the flag"
    );
}

pub(crate) fn two_stores_are_not_both_missed_by_the_loads_after_them<P: CoherenceProtocol>(
    subject: Subject<P>,
) {
    race(subject, None, |cluster| {
        let together = Arc::new(Barrier::new(3));
        let found = cluster.on_all(move |at, local| {
            let page = |at: usize| PageIndex(at as u64 % 2);
            assert!(load(&local, page(0), 0) == 0 && load(&local, page(1), 0) == 0);
            together.wait();
            if at == 2 {
                return 1;
            }
            store(&local, page(at), 0, 1);
            load(&local, page(at + 1), 0)
        });
        assert!(found[0] + found[1] > 0, "both stores were missed");
    });
}

pub(crate) fn a_load_that_begins_after_a_store_ended_sees_it<P: CoherenceProtocol>(
    subject: Subject<P>,
) {
    const LAST: u64 = 3;
    if !subject.takes {
        return;
    }
    race(subject, None, |cluster| {
        // Beside the memory, and no point at which shuttle switches.
        let stored = Arc::new(AtomicU64::new(0));
        cluster.on_all(move |at, local| {
            for look in 0..LOOKS {
                let least = stored.load(Ordering::SeqCst);
                let found = load(&local, PAGE, 0);
                assert!(found >= least, "a load missed a store that had ended");
                if found == LAST {
                    return;
                }
                if at == 1 && look < LAST {
                    store(&local, PAGE, 0, look + 1);
                    stored.store(look + 1, Ordering::SeqCst);
                }
                thread::yield_now();
            }
        });
    });
}
