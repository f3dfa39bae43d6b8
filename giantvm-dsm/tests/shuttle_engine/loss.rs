//! A node dies, at any moment.

use giantvm_core::PageIndex;
use shuttle::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::{Cluster, Local};
use crate::explore::explore;
use crate::ledger::{Race, Seen};
use crate::protocol::CoherenceProtocol;
use crate::watched::Subject;

const DATA: PageIndex = PageIndex(2);
const FLAG: PageIndex = PageIndex(1);

/// Counts on the data and then on the flag, until the memory is gone.
fn write(local: &Local) {
    for value in 1..=3 {
        if local.memory.store(DATA, 0, value).is_err()
            || local.memory.store(FLAG, 0, value).is_err()
        {
            return;
        }
    }
}

/// Reads the flag and then the data, until the memory is gone. How many reads were answered.
fn read(local: &Local) -> u64 {
    let (mut told, mut found, mut answered) = (0, 0, 0);
    for _ in 0..4 {
        let Ok(flag) = local.memory.load(FLAG, 0) else {
            break;
        };
        assert!(flag >= told, "the flag went back");
        told = flag;
        let Ok(data) = local.memory.load(DATA, 0) else {
            break;
        };
        assert!(data >= found && data >= told, "lost data was shown");
        found = data;
        answered += 1;
    }
    answered
}

/// The dead node wrote the data and is its home; the others read. A fault that waits for it is
/// answered with what is right, or not until the program ends its thread.
pub(crate) fn a_peer_is_lost_while_a_fault_waits_for_it<P: CoherenceProtocol>(subject: Subject<P>) {
    let seen = Seen::default();
    let expected = seen.clone();
    let answered = Arc::new(AtomicU64::new(0));
    let total = Arc::clone(&answered);
    explore(move || {
        let cluster = Cluster::start(subject, (3, 3), &seen);
        let answered = Arc::clone(&answered);
        cluster.on_all(move |at, local| {
            if at == 2 {
                write(&local);
                local.kill();
            } else {
                answered.fetch_add(read(&local), Ordering::Relaxed);
            }
        });
        cluster.stop();
    });
    expected.expect(Race::LostWhileWaiting);
    assert!(total.load(Ordering::Relaxed) > 0, "no read was answered");
}
