//! What a node's own threads and its clock do.

use giantvm_core::{PageIndex, Stamp};
use giantvm_dsm::backing::sim::Attempt;
use giantvm_dsm::protocol::CoherenceProtocol;

use super::Node;

/// Most times that a run waits for a time-out, each shorter than a millisecond.
const WAITS: usize = 2;
/// More time-outs than can be due one after the other.
const TIMEOUTS: usize = 1_000;

impl<P: CoherenceProtocol> Node<P> {
    /// A thread tries the first word of a page; the driver serves its fault.
    pub(super) fn access(&mut self, page: PageIndex, writes: bool) {
        self.stores += u64::from(writes);
        let attempt = match writes {
            true => self.memory.try_store(page, 0, self.stores),
            false => self.memory.try_load(page, 0),
        };
        if let Some((_, word)) = self.pins.get_mut(&page) {
            assert_eq!(attempt, Attempt::Done(*word), "a pinned page is there");
            *word = if writes { self.stores } else { *word };
        }
        let mut faults = Vec::new();
        let backing = self.driver.backing();
        backing.take_faults(&mut faults).expect("faults");
        for fault in faults {
            self.driver.fault(fault).expect("a fault that fits");
        }
    }

    pub(super) fn pin(&mut self, page: PageIndex) {
        if self.driver.pin(page).expect("a pin that fits") {
            let word = self.look(page).1;
            self.pins.entry(page).or_insert((0, word)).0 += 1;
        }
    }

    pub(super) fn unpin(&mut self, page: PageIndex) {
        let Some((holders, _)) = self.pins.get_mut(&page) else {
            return;
        };
        *holders -= 1;
        if *holders == 0 {
            self.pins.remove(&page);
        }
        for (from, _) in self.driver.unpin(page).expect("an unpin that fits") {
            self.lose(from);
        }
    }

    /// A frame of another service, sent at a time that is mostly sound.
    pub(super) fn hear(&mut self, byte: u8) {
        let stamp = Stamp(match byte {
            255 => u64::MAX,
            254 => u64::MAX / 2,
            early => early.into(),
        });
        let heard = self.driver.heard(stamp).expect("a time that fits");
        assert_eq!(heard.is_err(), byte == 255);
    }

    pub(super) fn tick(&mut self) {
        for _ in 0..TIMEOUTS {
            let due = self.driver.tick().expect("a time-out that fits");
            let Some(due) = due else { return };
            assert!(self.pins.is_empty(), "time-outs wait for pins");
            if due.as_millis() > 0 || self.waits == WAITS && !due.is_zero() {
                return;
            }
            self.waits += usize::from(!due.is_zero());
            std::thread::sleep(due);
        }
        panic!("time-outs that were handled stay due");
    }
}
