//! One thread that stands for a vCPU, for the guest's programs.

use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use giantvm_guest::{Destination, Machine, Memory, Vector, abi};

/// A machine of one vCPU without devices, but the one that ends it.
pub(crate) struct OneCpu<'w> {
    words: &'w [AtomicU64],
    start: Instant,
    /// What it ended with.
    pub(crate) status: Cell<Option<u32>>,
}

impl<'w> OneCpu<'w> {
    pub(crate) fn new(words: &'w [AtomicU64]) -> Self {
        Self {
            words,
            start: Instant::now(),
            status: Cell::new(None),
        }
    }
}

impl Machine for OneCpu<'_> {
    fn vcpu(&self) -> u32 {
        0
    }

    fn memory(&self) -> Memory<'_> {
        Memory::of(self.words)
    }

    /// What programs print is of no interest here.
    fn port_out8(&self, _: u16, _: u8) {}

    fn port_out32(&self, port: u16, value: u32) {
        if port == abi::PORT_POWER {
            self.status.set(Some(value));
        }
    }

    fn port_in32(&self, _: u16) -> u32 {
        u32::MAX
    }

    fn mmio_write(&self, _: u64, _: u64) {}

    fn mmio_read(&self, _: u64) -> u64 {
        self.cycles()
    }

    fn cycles(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn ipi(&self, _: Destination, _: Vector) {}

    fn nmi(&self, _: u32) {}

    fn received(&self, _: Vector) -> u64 {
        0
    }

    fn relax(&self) {
        std::thread::yield_now();
    }

    fn arm_timer(&self, _: u64) {}

    fn halt_while(&self, _: Vector, _: u64) {
        std::thread::yield_now();
    }
}
