//! The parts that a driver works with: a queue, and an interrupt line.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use giantvm_io::InterruptLine;
use vm_memory::{Bytes, GuestAddress};

const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// A line that remembers how often it rose.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Whether it is asserted, and how often it rose.
    state: Mutex<(bool, u64)>,
    rose: Condvar,
}

impl Line {
    pub(crate) fn is_asserted(&self) -> bool {
        self.state.lock().unwrap().0
    }

    pub(crate) fn rises(&self) -> u64 {
        self.state.lock().unwrap().1
    }

    /// Waits until it has risen so often.
    pub(crate) fn wait(&self, rises: u64) {
        let state = self.state.lock().unwrap();
        let patience = Duration::from_secs(60);
        let (state, ended) = self
            .rose
            .wait_timeout_while(state, patience, |state| state.1 < rises)
            .unwrap();
        assert!(!ended.timed_out(), "no interrupt: {state:?}");
    }
}

impl InterruptLine for Line {
    fn set(&self, asserted: bool) {
        let mut state = self.state.lock().unwrap();
        if asserted && !state.0 {
            state.1 += 1;
            self.rose.notify_all();
        }
        state.0 = asserted;
    }

    fn pulse(&self) {
        self.set(true);
        self.set(false);
    }
}

/// One queue, as its driver has it.
#[derive(Debug)]
pub(crate) struct DriverQueue {
    base: u64,
    size: u16,
    /// Descriptors are taken one after the other, round and round.
    next: u16,
    available: u16,
    seen: u16,
}

impl DriverQueue {
    pub(crate) const fn new(base: u64, size: u16) -> Self {
        Self {
            base,
            size,
            next: 0,
            available: 0,
            seen: 0,
        }
    }

    pub(crate) const fn parts(&self) -> [(u64, u64); 3] {
        [
            (0x80, self.base),
            (0x90, self.base + 0x4000),
            (0xa0, self.base + 0x8000),
        ]
    }

    /// Makes a chain available: address, length, and whether the device writes it. Returns its head.
    pub(crate) fn add<M: Bytes<GuestAddress, E: std::fmt::Debug>>(
        &mut self,
        memory: &M,
        chain: &[(u64, u32, bool)],
    ) -> u16 {
        let head = self.next;
        for (position, &(address, len, write)) in chain.iter().enumerate() {
            let after = (self.next + 1) % self.size;
            let last = position + 1 == chain.len();
            let flags = if last { 0 } else { NEXT } | if write { WRITE } else { 0 };
            let at = self.base + 16 * u64::from(self.next);
            memory.write_obj(address, GuestAddress(at)).unwrap();
            memory.write_obj(len, GuestAddress(at + 8)).unwrap();
            memory.write_obj(flags, GuestAddress(at + 12)).unwrap();
            memory.write_obj(after, GuestAddress(at + 14)).unwrap();
            self.next = after;
        }
        let ring = self.base + 0x4000;
        let slot = ring + 4 + 2 * u64::from(self.available % self.size);
        memory.write_obj(head, GuestAddress(slot)).unwrap();
        self.available = self.available.wrapping_add(1);
        let order = std::sync::atomic::Ordering::Release;
        memory
            .store(self.available, GuestAddress(ring + 2), order)
            .unwrap();
        head
    }

    /// Asks for an interrupt after the next chain.
    pub(crate) fn want<M: Bytes<GuestAddress, E: std::fmt::Debug>>(&self, memory: &M) {
        let event = self.base + 0x4000 + 4 + 2 * u64::from(self.size);
        memory.write_obj(self.seen, GuestAddress(event)).unwrap();
    }

    /// Takes the next chain that the device gave back: its head, and the bytes written.
    pub(crate) fn used<M: Bytes<GuestAddress, E: std::fmt::Debug>>(
        &mut self,
        memory: &M,
    ) -> Option<(u32, u32)> {
        let ring = self.base + 0x8000;
        let order = std::sync::atomic::Ordering::Acquire;
        let index: u16 = memory.load(GuestAddress(ring + 2), order).unwrap();
        if index == self.seen {
            return None;
        }
        let slot = ring + 4 + 8 * u64::from(self.seen % self.size);
        self.seen = self.seen.wrapping_add(1);
        let head = memory.read_obj(GuestAddress(slot)).unwrap();
        Some((head, memory.read_obj(GuestAddress(slot + 4)).unwrap()))
    }
}

/// The low and the high half.
pub(crate) fn halves(value: u64) -> [u32; 2] {
    [value & 0xffff_ffff, value >> 32].map(|half| half.try_into().unwrap())
}
