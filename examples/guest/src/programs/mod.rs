//! The programs, written once for vCPUs of bare metal and for threads that stand for them.
//!
//! Every vCPU runs every entry of the list in the table, with a barrier before and after. vCPU 0
//! gathers what became of it, writes the result block and prints a line.
//!
//! A vCPU's stack has 16 KiB. What keeps kilobytes on it is not inlined, as its caller would need the
//! room of all that it calls at once.

mod atomic;
pub mod cg;
mod classes;
mod clock;
mod console;
mod context;
pub mod ep;
mod float;
mod floats;
pub mod ft;
pub mod idle;
pub mod io;
pub mod ipi;
pub mod is;
mod is_class;
pub mod litmus;
pub mod mg;
mod outcome;
mod parts;
pub mod random;
mod series;
pub mod sum;
mod ticket;

use core::sync::atomic::Ordering::SeqCst;

use crate::abi::{self, status};
use crate::machine::Machine;
use crate::threads::carry;

pub use console::{LINE, print, print_unlocked};
pub use context::{BadTable, Context, memory_in_table, share_of};
pub use outcome::{Check, Failure, Site, Values, agrees};

use context::MAIL_OUTCOME;

/// A program that the guest carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Program {
    /// Counter behind a ticket lock. Parameters: acquisitions of each vCPU, increments in each.
    /// Values: counter, tickets drawn, tickets served.
    Ticket = 1,
    /// Counter by atomic addition. Parameter: additions of each vCPU. Value: counter.
    Atomic = 2,
    /// Parallel sum over memory that vCPU 0 wrote. Parameters: bytes, seed. Values: sum, bytes.
    Sum = 3,
    /// NAS EP. Parameter: class as the logarithm of pairs (24 S, 25 W, 28 A). Values: sum of X and
    /// of Y as bits of doubles, pairs accepted, then the ten counts.
    Ep = 4,
    /// Bucket sort after NAS IS. Parameters: class as the logarithm of keys (16 S, 20 W, 23 A),
    /// iterations, 1 to 10. Values: ranks checked, keys, checksum of keys.
    Is = 5,
    /// Interrupts from every vCPU to every other. Parameter: rounds. Values: interrupts received
    /// by all vCPUs, by physical and by logical identifier, NMI, to all but the sender, to all, to
    /// the sender.
    Ipi = 6,
    /// Device registers by port and by memory. Parameter: rounds. Value: accesses the device saw.
    Io = 7,
    /// Clock readings passed from vCPU to vCPU. Parameter: rounds. Values: readings, then for the
    /// time stamp counter and for the clock device how many ran backwards.
    Clock = 8,
    /// All vCPUs sleep. Parameter: milliseconds. Values: microseconds slept, vCPUs woken.
    Idle = 9,
    /// Litmus tests on four vCPUs. Parameter: rounds of each case. Values: rounds of all cases,
    /// different outcomes, rounds whose outcome only store buffers explain.
    Litmus = 10,
    /// NAS CG. Parameter: class as the matrix's rows (1400 S, 7000 W, 14000 A). Values: estimate of
    /// the eigenvalue and norm of the last residual, as bits of doubles.
    Cg = 11,
    /// NAS MG. Parameter: class as the logarithm of the finest grid's edge (5 S, 7 W, 8 A). Values:
    /// norm of the residual after the cycles and before them, as bits of doubles.
    Mg = 12,
    /// NAS FT. Parameter: class as the logarithm of points (18 S, 19 W, 23 A). Values: for each step
    /// the checksum's real and imaginary part, as bits of doubles.
    Ft = 13,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Ticket,
        Self::Atomic,
        Self::Sum,
        Self::Ep,
        Self::Is,
        Self::Ipi,
        Self::Io,
        Self::Clock,
        Self::Idle,
        Self::Litmus,
        Self::Cg,
        Self::Mg,
        Self::Ft,
    ];

    /// Its name on command lines and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Atomic => "atomic",
            Self::Sum => "sum",
            Self::Ep => "ep",
            Self::Is => "is",
            Self::Ipi => "ipi",
            Self::Io => "io",
            Self::Clock => "clock",
            Self::Idle => "idle",
            Self::Litmus => "litmus",
            Self::Cg => "cg",
            Self::Mg => "mg",
            Self::Ft => "ft",
        }
    }

    /// Whether it runs only where it is asked for.
    #[must_use]
    pub const fn on_request(self) -> bool {
        matches!(
            self,
            Self::Idle | Self::Litmus | Self::Cg | Self::Mg | Self::Ft
        )
    }

    /// Whether threads can run it: not if it is about interrupts, devices or vCPUs themselves.
    #[must_use]
    pub const fn on_threads(self) -> bool {
        matches!(
            self,
            Self::Ticket
                | Self::Atomic
                | Self::Sum
                | Self::Ep
                | Self::Is
                | Self::Cg
                | Self::Mg
                | Self::Ft
        )
    }

    /// Parameters that keep a run short.
    #[must_use]
    pub const fn defaults(self) -> [u64; abi::PARAMETERS] {
        match self {
            Self::Ticket => [100, 64, 0, 0],
            Self::Atomic => [500, 0, 0, 0],
            Self::Sum => [64 << 20, 1, 0, 0],
            Self::Ep => [24, 0, 0, 0],
            Self::Is => [16, 10, 0, 0],
            Self::Ipi => [2, 0, 0, 0],
            Self::Io => [50, 0, 0, 0],
            Self::Clock => [100, 0, 0, 0],
            Self::Idle => [1000, 0, 0, 0],
            Self::Litmus => [100_000, 0, 0, 0],
            Self::Cg => [1400, 0, 0, 0],
            Self::Mg => [5, 0, 0, 0],
            Self::Ft => [18, 0, 0, 0],
        }
    }

    /// The program with this number in the table.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|program| *program as u64 == number)
    }

    fn run<M: Machine>(
        self,
        context: &Context<'_, M>,
        parameters: &[u64; abi::PARAMETERS],
    ) -> Result<Values, Failure> {
        match self {
            Self::Ticket => ticket::run(context, parameters),
            Self::Atomic => atomic::run(context, parameters),
            Self::Sum => sum::run(context, parameters),
            Self::Ep => ep::run(context, parameters),
            Self::Is => is::run(context, parameters),
            Self::Ipi => ipi::run(context, parameters),
            Self::Io => io::run(context, parameters),
            Self::Clock => clock::run(context, parameters),
            Self::Idle => idle::run(context, parameters),
            Self::Litmus => litmus::run(context, parameters),
            Self::Cg => cg::run(context, parameters),
            Self::Mg => mg::run(context, parameters),
            Self::Ft => ft::run(context, parameters),
        }
    }
}

/// Runs the list of programs on this vCPU, or carries threads that do; every vCPU of the machine
/// calls it once. Returns when this vCPU has nothing left to do.
pub fn run<M: Machine>(context: &Context<'_, M>) {
    if context.threads() > 0 {
        context.announce();
        carry(context);
    } else {
        run_all(context);
    }
}

/// Runs the list of programs.
///
/// vCPU 0 ends the machine by a write to [`abi::PORT_POWER`] when all is done; a vCPU whose wait
/// passes its deadline does so at once.
pub(crate) fn run_all<M: Machine>(context: &Context<'_, M>) {
    context.announce();
    if context.machine().team().is_none() {
        let vcpus = context.vcpus();
        print(context, format_args!("up, one of {vcpus} vCPUs"));
    }
    let mut passed = true;
    for index in 0..context.run_count() {
        match run_entry(context, index) {
            Ok(entry_passed) => passed &= entry_passed,
            Err(failure) => return give_up(context, index, failure),
        }
    }
    if let Err(failure) = context.barrier() {
        return give_up(context, abi::MAX_RUNS - 1, failure);
    }
    if context.vcpu() == 0 {
        let verdict = if passed {
            "all programs passed"
        } else {
            "a program FAILED"
        };
        print(context, format_args!("{verdict}"));
        let code = if passed {
            status::PASSED
        } else {
            status::FAILED
        };
        context.machine().port_out32(abi::PORT_POWER, code);
    }
}

/// Runs one entry. For vCPU 0 the result says whether it passed everywhere.
fn run_entry<M: Machine>(context: &Context<'_, M>, index: usize) -> Result<bool, Failure> {
    let (number, parameters) = context.run(index);
    context.barrier()?;
    let start = context.machine().cycles();
    let outcome = match Program::from_number(number) {
        Some(program) => program.run(context, &parameters),
        None => Err(Failure::Program(number)),
    };
    let words = match outcome {
        Ok(_) => [abi::PASSED, 0, 0, 0],
        Err(failure @ (Failure::TimedOut(_) | Failure::Stopped)) => return Err(failure),
        Err(failure) => failure.encode(),
    };
    for (word, value) in (MAIL_OUTCOME..).zip(words) {
        context.mail_word(context.vcpu(), word).store(value, SeqCst);
    }
    context.barrier()?;
    if context.vcpu() != 0 {
        return Ok(true);
    }
    let micros = context.micros_since(start);
    let name = Program::from_number(number).map_or("unknown", Program::name);
    let read = |vcpu, place| context.mail_word(vcpu, MAIL_OUTCOME + place).load(SeqCst);
    let failed = (0..context.vcpus()).find(|vcpu| read(*vcpu, 0) != abi::PASSED);
    match (failed, outcome) {
        (None, Ok(values)) => {
            record(context, index, 0, micros, abi::PASSED, &values);
            print(
                context,
                format_args!("{name} passed in {} ms", micros / 1000),
            );
            Ok(true)
        }
        (vcpu, _) => {
            let vcpu = vcpu.unwrap_or(0);
            let words = core::array::from_fn(|place| read(vcpu, place as u64));
            record(
                context,
                index,
                vcpu,
                micros,
                words[0],
                &outcome::values(&words[1..]),
            );
            match Failure::decode(words) {
                Some(failure) => print(context, format_args!("{name} FAILED on {vcpu}: {failure}")),
                None => print(context, format_args!("{name} FAILED on {vcpu}")),
            }
            Ok(false)
        }
    }
}

/// Ends the machine because a wait passed its deadline, here or elsewhere.
fn give_up<M: Machine>(context: &Context<'_, M>, index: usize, failure: Failure) {
    // Whoever gives up first ends the machine; it ends once.
    if failure == Failure::Stopped || !context.stop_others() {
        return;
    }
    let words = failure.encode();
    record(
        context,
        index,
        context.vcpu(),
        0,
        words[0],
        &outcome::values(&words[1..]),
    );
    print(context, format_args!("entry {index} FAILED: {failure}"));
    context
        .machine()
        .port_out32(abi::PORT_POWER, status::TIMED_OUT);
}

fn record<M: Machine>(
    context: &Context<'_, M>,
    index: usize,
    vcpu: u32,
    micros: u64,
    outcome: u64,
    values: &Values,
) {
    let block = abi::result_block(index);
    let words = context
        .memory()
        .words(block, size_of::<abi::ResultBlock>() as u64 / 8);
    for (word, value) in words
        .iter()
        .zip([0, u64::from(vcpu), micros, 0].iter().chain(values))
    {
        word.store(*value, SeqCst);
    }
    // The outcome goes last: a block that has one is whole.
    words[0].store(outcome, SeqCst);
}
