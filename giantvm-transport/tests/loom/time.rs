//! The logical clock, between who lets stores happen and who sends after them.

use giantvm_core::Stamp;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::clock::LogicalClock;

#[test]
fn what_is_sent_after_a_store_carries_no_older_time() {
    loom::model(|| {
        // The clock, and whether the page may be written: the page table, in place of the kernel's.
        let shared = Arc::new((LogicalClock::default(), AtomicBool::new(false)));
        let pump = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.0.advance(Stamp(5));
                shared.1.store(true, Ordering::Release);
            })
        };
        let (clock, writable) = &*shared;
        if writable.load(Ordering::Acquire) {
            assert!(clock.now() >= Stamp(5));
        }
        pump.join().unwrap();
    });
}

#[test]
fn time_never_goes_back_and_ends_at_the_latest() {
    loom::model(|| {
        let clock = Arc::new(LogicalClock::default());
        let advancers = [3, 5].map(|time| {
            let clock = Arc::clone(&clock);
            thread::spawn(move || {
                clock.advance(Stamp(time));
                assert!(clock.now() >= Stamp(time));
            })
        });
        let before = clock.now();
        assert!(clock.now() >= before);
        for advancer in advancers {
            advancer.join().unwrap();
        }
        assert_eq!(clock.now(), Stamp(5));
    });
}

#[test]
fn who_reads_a_time_has_seen_what_was_done_before_it() {
    loom::model(|| {
        let shared = Arc::new((
            LogicalClock::default(),
            [(); 2].map(|()| AtomicBool::new(false)),
        ));
        // Whichever comes last: it may raise nothing, and it hides nothing of the other.
        let advancers = [(0, 5), (1, 3)].map(|(own, time)| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.1[own].store(true, Ordering::Relaxed);
                shared.0.advance(Stamp(time));
            })
        });
        let (clock, done) = &*shared;
        match clock.now().0 {
            5 => assert!(done[0].load(Ordering::Relaxed)),
            3 => assert!(done[1].load(Ordering::Relaxed)),
            _ => {}
        }
        for advancer in advancers {
            advancer.join().unwrap();
        }
    });
}
