//! The wait table under every interleaving.

mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
}

#[path = "../src/wait.rs"]
mod wait;

use loom::sync::Arc;
use loom::thread;
use wait::{NoValue, WaitTable};

#[test]
fn a_value_is_never_lost_whether_it_comes_before_or_after_the_wait() {
    loom::model(|| {
        let table = Arc::new(WaitTable::new(1));
        table.expect(0, 7).unwrap();
        let bringer = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.bring(0, 7, "value"))
        };
        assert_eq!(table.wait(0, 7), Ok("value"));
        assert!(bringer.join().unwrap());
        assert_eq!(table.wait(0, 7), Err(NoValue::NotPending));
    });
}

#[test]
fn a_stop_ends_a_wait_that_no_value_ends() {
    loom::model(|| {
        let table: Arc<WaitTable<()>> = Arc::new(WaitTable::new(1));
        let waiter = {
            let table = Arc::clone(&table);
            thread::spawn(move || match table.expect(0, 7) {
                Ok(()) => table.wait(0, 7),
                Err(stopped) => Err(stopped),
            })
        };
        table.set_stopped(true);
        assert_eq!(waiter.join().unwrap(), Err(NoValue::Stopped));
    });
}

#[test]
fn value_and_stop_race_to_exactly_one_end() {
    loom::model(|| {
        let table = Arc::new(WaitTable::new(1));
        table.expect(0, 7).unwrap();
        let bringer = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.bring(0, 7, 1))
        };
        let stopper = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.set_stopped(true))
        };
        let waited = table.wait(0, 7);
        let brought = bringer.join().unwrap();
        stopper.join().unwrap();
        match waited {
            Ok(value) => assert!(brought && value == 1),
            // The wait was over when the value came, so it was refused.
            Err(end) => assert!(!brought && end == NoValue::Stopped),
        }
        table.set_stopped(false);
        table.expect(0, 8).unwrap();
        assert!(
            !table.bring(0, 7, 1),
            "the old key's value does not pass for the new one's"
        );
    });
}
