//! Threads of a Linux process in the place of the bare-metal guest's processors.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use giantvm_guest::{Destination, Machine, Memory, Vector, abi};

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared<'m> {
    memory: Memory<'m>,
    start: Instant,
    /// What the programs ended with.
    status: AtomicU32,
}

impl<'m> Shared<'m> {
    pub(crate) fn new(memory: Memory<'m>) -> Self {
        Self {
            memory,
            start: Instant::now(),
            status: AtomicU32::new(u32::MAX),
        }
    }

    /// What the programs ended with.
    pub(crate) fn status(&self) -> u32 {
        self.status.load(Ordering::SeqCst)
    }
}

/// One thread. It has memory and a clock: programs that want more of a machine are not for it.
#[derive(Debug)]
pub(crate) struct Native<'s, 'm> {
    shared: &'s Shared<'m>,
    vcpu: u32,
}

impl<'s, 'm> Native<'s, 'm> {
    pub(crate) const fn new(shared: &'s Shared<'m>, vcpu: u32) -> Self {
        Self { shared, vcpu }
    }
}

impl Machine for Native<'_, '_> {
    fn vcpu(&self) -> u32 {
        self.vcpu
    }

    fn memory(&self) -> Memory<'_> {
        self.shared.memory
    }

    fn port_out8(&self, _port: u16, _value: u8) {}

    fn port_out32(&self, port: u16, value: u32) {
        if port == abi::PORT_POWER {
            self.shared.status.store(value, Ordering::SeqCst);
        }
    }

    fn port_in32(&self, _port: u16) -> u32 {
        u32::MAX
    }

    fn mmio_write(&self, _address: u64, _value: u64) {}

    fn mmio_read(&self, _address: u64) -> u64 {
        u64::MAX
    }

    fn cycles(&self) -> u64 {
        u64::try_from(self.shared.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn ipi(&self, _to: Destination, _vector: Vector) {}

    fn nmi(&self, _to: u32) {}

    fn received(&self, _vector: Vector) -> u64 {
        0
    }

    fn relax(&self) {
        std::thread::yield_now();
    }

    fn arm_timer(&self, _nanos: u64) {}

    fn halt_while(&self, _vector: Vector, _seen: u64) {
        self.relax();
    }
}
