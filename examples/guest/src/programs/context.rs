//! What every program works with: who it is, bounded waits, barriers, shared words.

use core::cell::Cell;
use core::mem::offset_of;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::outcome::{Failure, Site};
use crate::abi::{self, RunEntry, Table};
use crate::machine::Machine;
use crate::memory::Memory;
use crate::threads::MAX_THREADS;

/// Shared words in use outside of programs; programs have those from [`HOT_PROGRAM`].
const HOT_ARRIVALS: u64 = 0;
const HOT_GENERATION: u64 = 1;
const HOT_STOP: u64 = 2;
pub(super) const HOT_CONSOLE_NEXT: u64 = 3;
pub(super) const HOT_CONSOLE_SERVING: u64 = 4;
const HOT_PROGRAM: u64 = 8;

/// Words of a mailbox in use outside of programs; programs have those from [`MAIL_PROGRAM`].
const MAIL_UP: u64 = 0;
pub(super) const MAIL_OUTCOME: u64 = 1;
const MAIL_PROGRAM: u64 = 8;

/// Looks a wait takes before it lets others run.
const SPINS: u32 = 128;

/// The table was not one that these programs understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadTable;

/// One vCPU's view of the run.
#[derive(Debug)]
pub struct Context<'m, M> {
    machine: &'m M,
    memory: Memory<'m>,
    vcpus: u32,
    threads: u32,
    cycles_per_ms: u64,
    deadline_ms: u64,
    barriers: Cell<u64>,
}

impl<'m, M: Machine> Context<'m, M> {
    /// Reads the table.
    ///
    /// # Errors
    /// [`BadTable`] if it has another magic or version, or values out of their ranges.
    pub fn new(machine: &'m M) -> Result<Self, BadTable> {
        let memory = machine.memory();
        let vcpus = table_u32(memory, offset_of!(Table, vcpus));
        let vcpus = machine.team().unwrap_or(vcpus);
        let context = Self {
            machine,
            memory,
            vcpus,
            threads: table_u32(memory, offset_of!(Table, threads)),
            cycles_per_ms: table_u64(memory, offset_of!(Table, cycles_per_ms)),
            deadline_ms: u64::from(table_u32(memory, offset_of!(Table, deadline_ms))),
            barriers: Cell::new(0),
        };
        let good = table_u64(memory, offset_of!(Table, magic)) == abi::MAGIC
            && table_u32(memory, offset_of!(Table, version)) == abi::VERSION
            && (1..=abi::MAX_VCPUS).contains(&vcpus)
            && machine.vcpu() < vcpus
            && context.threads <= MAX_THREADS
            && context.cycles_per_ms > 0
            && context.deadline_ms > 0
            && context.run_count() <= abi::MAX_RUNS
            && (abi::MEMORY_MIN..=abi::MEMORY_MAX).contains(&memory.size());
        if good { Ok(context) } else { Err(BadTable) }
    }

    /// The vCPU's machine.
    #[must_use]
    pub fn machine(&self) -> &'m M {
        self.machine
    }

    /// The memory all vCPUs share.
    #[must_use]
    pub fn memory(&self) -> Memory<'m> {
        self.memory
    }

    /// Identifier of this vCPU.
    #[must_use]
    pub fn vcpu(&self) -> u32 {
        self.machine.vcpu()
    }

    /// vCPUs of the machine.
    #[must_use]
    pub fn vcpus(&self) -> u32 {
        self.vcpus
    }

    /// Threads that run the programs; 0 if the vCPUs do.
    #[must_use]
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// Node of this vCPU.
    #[must_use]
    pub fn node(&self) -> u8 {
        let at = abi::TABLE + offset_of!(Table, nodes) as u64 + u64::from(self.vcpu());
        let word = self.memory.word(at & !7).load(SeqCst);
        word.to_le_bytes()[(at & 7) as usize]
    }

    /// Entries of the list of programs.
    #[must_use]
    pub fn run_count(&self) -> usize {
        table_u32(self.memory, offset_of!(Table, run_count)) as usize
    }

    /// An entry of the list: program and parameters.
    #[must_use]
    pub fn run(&self, index: usize) -> (u64, [u64; abi::PARAMETERS]) {
        let entry = offset_of!(Table, runs) + index * size_of::<RunEntry>();
        let program = table_u32(self.memory, entry + offset_of!(RunEntry, program));
        let parameters = entry + offset_of!(RunEntry, parameters);
        let read = |place: usize| table_u64(self.memory, parameters + 8 * place);
        (u64::from(program), core::array::from_fn(read))
    }

    /// A program's shared word, alone on its page.
    #[must_use]
    pub fn hot(&self, word: u64) -> &'m AtomicU64 {
        self.hot_page(HOT_PROGRAM + word)
    }

    /// A program's word in the mailbox of a vCPU.
    #[must_use]
    pub fn mail(&self, vcpu: u32, word: u64) -> &'m AtomicU64 {
        self.mail_word(vcpu, MAIL_PROGRAM + word)
    }

    pub(super) fn hot_page(&self, word: u64) -> &'m AtomicU64 {
        self.memory.word(abi::HOT + word * abi::PAGE)
    }

    pub(super) fn mail_word(&self, vcpu: u32, word: u64) -> &'m AtomicU64 {
        self.memory
            .word(abi::vcpu_area(vcpu) + abi::AREA_MAILBOX + 8 * word)
    }

    /// This vCPU's part of `items` numbered things, in whole multiples of `grain`.
    #[must_use]
    pub fn share(&self, items: u64, grain: u64) -> Range<u64> {
        share_of(items, grain, self.vcpu(), self.vcpus)
    }

    /// Fails if the machine's memory ends before `end`.
    ///
    /// # Errors
    /// [`Failure::Memory`].
    pub fn need_memory(&self, end: u64) -> Result<(), Failure> {
        let available = self.memory.size();
        if end <= available {
            Ok(())
        } else {
            Err(Failure::Memory {
                needed: end,
                available,
            })
        }
    }

    /// Fails if the machine has fewer vCPUs than `needed`.
    ///
    /// # Errors
    /// [`Failure::Vcpus`].
    pub fn need_vcpus(&self, needed: u32) -> Result<(), Failure> {
        let available = self.vcpus;
        if needed <= available {
            Ok(())
        } else {
            Err(Failure::Vcpus { needed, available })
        }
    }

    /// What this vCPU's counter counts in `nanos` nanoseconds.
    #[must_use]
    pub fn cycles_in(&self, nanos: u64) -> u64 {
        nanos.saturating_mul(self.cycles_per_ms) / 1_000_000
    }

    /// Microseconds since an earlier reading of this vCPU's counter.
    #[must_use]
    pub fn micros_since(&self, cycles: u64) -> u64 {
        let passed = self.machine.cycles().saturating_sub(cycles);
        passed.saturating_mul(1000) / self.cycles_per_ms
    }

    /// Milliseconds that any wait may take.
    #[must_use]
    pub fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    /// Waits until `ready`.
    ///
    /// # Errors
    /// [`Failure::TimedOut`] at the deadline, [`Failure::Stopped`] if another vCPU's wait ended so.
    pub fn wait(&self, site: Site, mut ready: impl FnMut() -> bool) -> Result<(), Failure> {
        let start = self.machine.cycles();
        loop {
            for _ in 0..SPINS {
                if ready() {
                    return Ok(());
                }
                core::hint::spin_loop();
            }
            if self.hot_page(HOT_STOP).load(SeqCst) != 0 {
                return Err(Failure::Stopped);
            }
            if self.micros_since(start) > self.deadline_ms * 1000 {
                return Err(Failure::TimedOut(site));
            }
            self.machine.relax();
        }
    }

    /// Waits until all vCPUs have come here.
    ///
    /// # Errors
    /// As [`Context::wait`].
    pub fn barrier(&self) -> Result<(), Failure> {
        if self.machine.meet() {
            return Ok(());
        }
        let turn = self.barriers.get() + 1;
        self.barriers.set(turn);
        let generation = self.hot_page(HOT_GENERATION);
        let arrived = self.hot_page(HOT_ARRIVALS).fetch_add(1, SeqCst) + 1;
        if arrived == turn * u64::from(self.vcpus) {
            generation.store(turn, SeqCst);
            return Ok(());
        }
        self.wait(Site::Barrier, || generation.load(SeqCst) >= turn)
    }

    /// Says that a piece of work is done: a thread's vCPU may run another.
    pub fn worked(&self) {
        self.machine.worked();
    }

    /// Makes every other vCPU's wait end; tells whether none had done so before.
    pub(super) fn stop_others(&self) -> bool {
        self.hot_page(HOT_STOP).swap(1, SeqCst) == 0
    }

    /// Lets `ms` milliseconds pass.
    pub fn pause_ms(&self, ms: u64) {
        let start = self.machine.cycles();
        while self.micros_since(start) < ms * 1000 {
            self.machine.relax();
        }
    }

    pub(super) fn announce(&self) {
        self.mail_word(self.vcpu(), MAIL_UP).store(1, SeqCst);
    }

    /// Whether a vCPU has reached the programs.
    #[must_use]
    pub fn is_up(&self, vcpu: u32) -> bool {
        self.mail_word(vcpu, MAIL_UP).load(SeqCst) == 1
    }

    /// Waits until all vCPUs but this one are up, `ms` milliseconds at most; tells whether.
    pub fn others_up_within_ms(&self, ms: u64) -> bool {
        let start = self.machine.cycles();
        let missing = |vcpu: u32| vcpu != self.vcpu() && !self.is_up(vcpu);
        while (0..self.vcpus).any(missing) {
            if self.micros_since(start) > ms * 1000 {
                return false;
            }
            self.machine.relax();
        }
        true
    }
}

/// Part `part` of `parts` of `items` numbered things, in whole multiples of `grain`.
#[must_use]
pub fn share_of(items: u64, grain: u64, part: u32, parts: u32) -> Range<u64> {
    let grains = items.div_ceil(grain);
    let bound = |part: u32| (grains * u64::from(part) / u64::from(parts) * grain).min(items);
    bound(part)..bound(part + 1)
}

fn table_u64(memory: Memory<'_>, offset: usize) -> u64 {
    memory.word(abi::TABLE + offset as u64).load(SeqCst)
}

fn table_u32(memory: Memory<'_>, offset: usize) -> u32 {
    memory.halves(abi::TABLE + offset as u64, 1)[0].load(SeqCst)
}

/// The table's word for the size of memory, read before anything else is known.
#[must_use]
pub fn memory_in_table(memory: Memory<'_>) -> u64 {
    table_u64(memory, offset_of!(Table, memory))
}
