//! A thread as programs see it.

use core::cell::Cell;
use core::sync::atomic::Ordering::SeqCst;

use super::arena::{self, Arena};
use super::switch;
use crate::machine::{Destination, Machine, Vector};
use crate::memory::Memory;
use crate::programs::{Context, run_all};

/// Pieces of work between two looks of the carrier at the clock.
const PIECES: u32 = 4;

/// What a thread asks its carrier for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Ask {
    /// To write to a port: the port, and the value.
    Out8,
    Out32,
    /// To read from a port.
    In32,
    /// To write to a device's register: the address, and the value.
    Write,
    /// To read one.
    Read,
    /// What the counter says.
    Cycles,
    /// Whether its slice is over: it has done some work.
    Worked,
    /// To let others run: it waits for something.
    Relax,
    /// To go on when all others came to the same point.
    Meet,
    /// Never to go on.
    Exit,
}

impl Ask {
    const ALL: [Self; 10] = [
        Self::Out8,
        Self::Out32,
        Self::In32,
        Self::Write,
        Self::Read,
        Self::Cycles,
        Self::Worked,
        Self::Relax,
        Self::Meet,
        Self::Exit,
    ];

    /// What a thread asked for. What none asks for is taken for its end.
    pub(super) fn from_number(number: u64) -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|ask| *ask as u64 == number).unwrap_or(Self::Exit)
    }
}

/// A thread that runs programs, from within.
///
/// Interrupts are vCPUs': it neither sends nor gets any.
#[derive(Debug)]
pub(super) struct Thread<'m> {
    /// That of programs.
    memory: Memory<'m>,
    number: u32,
    count: u32,
    arena: Arena<'m>,
    /// The carrier that it runs on since it was last loaded.
    carrier: Cell<usize>,
    /// Pieces of work left until the carrier looks at the clock.
    left: Cell<u32>,
}

/// Where threads begin.
pub(super) extern "C" fn start(
    base: usize,
    size: u64,
    number: u32,
    count: u32,
    carrier: usize,
) -> ! {
    let memory = Memory::inherited(base, size);
    let thread = Thread {
        memory: memory.first(arena::programs_end(size, count)),
        number,
        count,
        arena: Arena::of(memory, number, count),
        carrier: Cell::new(carrier),
        left: Cell::new(PIECES),
    };
    // Carriers have read the same table.
    if let Ok(context) = Context::new(&thread) {
        run_all(&context);
    }
    loop {
        thread.ask(Ask::Exit, 0, 0);
    }
}

impl Thread<'_> {
    fn ask(&self, ask: Ask, first: u64, second: u64) -> u64 {
        let arena = &self.arena;
        arena.ask.store(ask as u64, SeqCst);
        arena.arguments[0].store(first, SeqCst);
        arena.arguments[1].store(second, SeqCst);
        self.carrier.set(switch::leave(arena, self.carrier.get()));
        arena.answer.load(SeqCst)
    }
}

impl Machine for Thread<'_> {
    fn vcpu(&self) -> u32 {
        self.number
    }

    fn team(&self) -> Option<u32> {
        Some(self.count)
    }

    fn memory(&self) -> Memory<'_> {
        self.memory
    }

    fn port_out8(&self, port: u16, value: u8) {
        self.ask(Ask::Out8, port.into(), value.into());
    }

    fn port_out32(&self, port: u16, value: u32) {
        self.ask(Ask::Out32, port.into(), value.into());
    }

    fn port_in32(&self, port: u16) -> u32 {
        self.ask(Ask::In32, port.into(), 0) as u32
    }

    fn mmio_write(&self, address: u64, value: u64) {
        self.ask(Ask::Write, address, value);
    }

    fn mmio_read(&self, address: u64) -> u64 {
        self.ask(Ask::Read, address, 0)
    }

    fn cycles(&self) -> u64 {
        self.ask(Ask::Cycles, 0, 0)
    }

    fn ipi(&self, _: Destination, _: Vector) {}

    fn nmi(&self, _: u32) {}

    fn received(&self, _: Vector) -> u64 {
        0
    }

    fn relax(&self) {
        self.ask(Ask::Relax, 0, 0);
    }

    fn arm_timer(&self, _: u64) {}

    fn halt_while(&self, _: Vector, _: u64) {
        self.relax();
    }

    fn meet(&self) -> bool {
        self.ask(Ask::Meet, 0, 0);
        true
    }

    fn worked(&self) {
        let left = self.left.get() - 1;
        self.left.set(left);
        if left == 0 {
            self.left.set(PIECES);
            self.ask(Ask::Worked, 0, 0);
        }
    }
}
