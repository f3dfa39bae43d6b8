//! A batch of rounds: where their variables lie, and when each of their instructions is due.
//!
//! Threads on different nodes would run through a page one after the other, each as long as the
//! page is there, and hardly ever meet in a round. So instructions are due at times that all
//! threads share: who has waited for a page catches up with the others and meets them where they
//! are, which is, whenever a page moves, in the middle of a round.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicU64, compiler_fence};

use super::outcome::Outcome;
use super::test::{Instruction, Variable};
use super::{Case, Pages, Stores};
use crate::programs::Context;
use crate::{abi, machine::Machine};

/// Most rounds of a batch: their variables fill [`PAGES`].
pub(super) const ROUNDS: u64 = 4096;
/// Pages of the variables.
pub(super) const PAGES: u64 = 2 * ROUNDS * 8 / abi::PAGE;
/// Rounds of which a scattered batch puts one after the other on other pages.
const GROUPS: u64 = 8;
/// Nanoseconds of a round whose instructions are apart: a page that moves takes some rounds.
const APART: u64 = 8_000;
/// Nanoseconds of a round whose instructions are close together.
const CLOSE: u64 = 2_000;
/// Rounds whose outcomes are in one word of a thread's record.
const PACKED: u64 = 8;

/// How the rounds of a batch follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// The instructions of a round spread over its time, so that pages move between them.
    Apart,
    /// The instructions of a round in one go, so that store buffers are full.
    Close,
    /// Each round on other pages than the one before, as fast as these come.
    Scattered,
}

impl Pace {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Apart, Self::Scattered, Self::Close];

    /// Most rounds of a batch.
    pub(super) const fn rounds(self) -> u64 {
        match self {
            Self::Apart | Self::Close => ROUNDS,
            Self::Scattered => 512,
        }
    }

    /// When an instruction is due, in nanoseconds from the batch's start; `None` is at once.
    const fn due(self, round: u64, instruction: u64) -> Option<u64> {
        match (self, instruction) {
            (Self::Apart, _) => Some(round * APART + instruction * APART / 2),
            (Self::Close, 0) => Some(round * CLOSE),
            (Self::Close | Self::Scattered, _) => None,
        }
    }

    /// The instance a round runs on.
    const fn instance(self, round: u64) -> u64 {
        match self {
            Self::Apart | Self::Close => round,
            Self::Scattered => round % GROUPS * (ROUNDS / GROUPS) + round / GROUPS,
        }
    }
}

/// The memory of a batch.
pub(super) struct Area<'m> {
    variables: &'m [AtomicU64],
    /// For each thread, what its registers held in each round.
    records: &'m [AtomicU64],
}

/// Address of the threads' records, each of one page.
const RECORDS: u64 = abi::DATA + PAGES * abi::PAGE;
/// Words of a thread's record.
const RECORD: u64 = ROUNDS / PACKED;

impl<'m> Area<'m> {
    pub(super) fn new<M: Machine>(context: &Context<'m, M>) -> Self {
        let memory = context.memory();
        Self {
            variables: memory.words(abi::DATA, 2 * ROUNDS),
            records: memory.words(RECORDS, super::THREADS as u64 * RECORD),
        }
    }

    /// Makes all variables 0, whatever other programs have left there.
    pub(super) fn clear(&self) {
        for word in self.variables {
            word.store(0, Relaxed);
        }
    }

    fn variable(&self, pages: Pages, instance: u64, variable: Variable) -> &'m AtomicU64 {
        let variable = variable as u64;
        let place = match pages {
            Pages::One => 2 * instance + variable,
            Pages::Two => ROUNDS * variable + instance,
        };
        &self.variables[place as usize]
    }

    fn record(&self, thread: usize) -> &'m [AtomicU64] {
        &self.records[thread * RECORD as usize..][..RECORD as usize]
    }
}

/// Some rounds of a case.
pub(super) struct Batch {
    pub(super) case: Case,
    pub(super) pace: Pace,
    pub(super) rounds: u64,
}

impl Batch {
    /// Runs one thread of the test through the rounds; `start` is when the first is due.
    pub(super) fn play<M: Machine>(
        &self,
        context: &Context<'_, M>,
        area: &Area<'_>,
        thread: usize,
        start: u64,
    ) {
        let machine = context.machine();
        let instructions = self.case.test().threads[thread];
        let mut packed = 0;
        for round in 0..self.rounds {
            let instance = self.pace.instance(round);
            let mut outcome = Outcome::default();
            for (step, instruction) in (0..).zip(instructions) {
                if let Some(due) = self.pace.due(round, step) {
                    self.wait(machine, start.saturating_add(context.cycles_in(due)));
                }
                // Each access is one instruction; the compiler keeps them in their order.
                compiler_fence(SeqCst);
                match *instruction {
                    Instruction::Load(from, register) => {
                        let word = area.variable(self.case.pages, instance, from);
                        outcome = outcome.with_register(register, word.load(Relaxed));
                    }
                    Instruction::Store(to, value) => {
                        let word = area.variable(self.case.pages, instance, to);
                        match self.case.stores {
                            Stores::Plain => word.store(value.into(), Relaxed),
                            Stores::Locked => _ = word.swap(value.into(), SeqCst),
                        }
                    }
                }
                compiler_fence(SeqCst);
            }
            let place = round % PACKED;
            packed |= u64::from(outcome.registers()) << (8 * place);
            if place + 1 == PACKED || round + 1 == self.rounds {
                area.record(thread)[(round / PACKED) as usize].store(packed, Relaxed);
                packed = 0;
            }
        }
    }

    /// Waits for an instruction's time. Threads that are to meet in a store buffer must not be late
    /// by more than that holds; all others leave the processor to those who move pages.
    fn wait<M: Machine>(&self, machine: &M, due: u64) {
        while machine.cycles() < due {
            match self.pace {
                Pace::Close => core::hint::spin_loop(),
                Pace::Apart | Pace::Scattered => machine.relax(),
            }
        }
    }

    /// Tells how each round ended, and makes its variables 0 again.
    pub(super) fn collect(&self, area: &Area<'_>, mut tell: impl FnMut(Outcome)) {
        let threads = self.case.test().threads.len();
        for round in 0..self.rounds {
            let byte = |thread| {
                let word = area.record(thread)[(round / PACKED) as usize].load(Relaxed);
                word.to_le_bytes()[(round % PACKED) as usize]
            };
            // Threads have registers of their own, so that their bytes do not overlap.
            let registers = (0..threads).fold(0, |all, thread| all | byte(thread));
            let mut outcome = Outcome::of_registers(registers);
            for variable in [Variable::X, Variable::Y] {
                let instance = self.pace.instance(round);
                let word = area.variable(self.case.pages, instance, variable);
                outcome = outcome.with_variable(variable, word.load(Relaxed));
                word.store(0, Relaxed);
            }
            tell(outcome);
        }
    }
}
