//! The host's own judgement of what the guest reports.

use core::mem::offset_of;

use crate::abi::{self, ResultBlock};
use crate::programs::litmus::{Case, Outcome};
use crate::programs::{Check, Failure, Values, agrees, cg, ep, ft, io, ipi, is, mg, sum};
use crate::{Config, Program, Run, litmus};

/// What is wrong with a program's result.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The guest never got to its end.
    #[error("it did not run to its end")]
    NotRun,
    /// The guest itself says that it failed.
    #[error("vCPU {vcpu} says: {failure}")]
    Guest {
        /// vCPU that failed.
        vcpu: u64,
        /// Why.
        failure: Failure,
    },
    /// The result block holds an outcome that no guest writes.
    #[error("the result block holds the unknown outcome {0}; the guest's memory is damaged")]
    Unknown(u64),
    /// The guest says it passed, but the host computed another value.
    #[error("the guest reports {check} as {found:#x}; the host computed {expected:#x}")]
    Differs {
        /// What was compared.
        check: Check,
        /// The host's value.
        expected: u64,
        /// The guest's value.
        found: u64,
    },
    /// Rounds of a litmus test ended as x86-TSO forbids.
    #[error("{case}: {rounds} rounds ended in {told}, which x86-TSO forbids",
        told = case.test().describe(*outcome))]
    Forbidden {
        /// The test, and its variant.
        case: Case,
        /// What it ended in.
        outcome: Outcome,
        /// How often.
        rounds: u64,
    },
}

/// What the guest reports of one entry of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Time it took by vCPU 0's counter.
    pub micros: u64,
    /// Values as documented at [`Program`].
    pub values: Values,
}

/// The verdict on one entry of the list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The entry.
    pub run: Run,
    /// What the guest reports, if that is right.
    pub result: Result<Report, Fault>,
}

/// Reads the result blocks of a guest that has ended and compares them with what the host
/// computes itself.
///
/// `results` is the content of the page at [`abi::RESULTS`]; a block that it does not hold counts
/// as not run. `tables` is what the guest's memory holds in [`Config::litmus_tables`] bytes from
/// [`abi::LITMUS`].
///
/// ```
/// use giantvm_guest::{Config, Fault, abi, verify};
///
/// let untouched = vec![0; abi::PAGE as usize];
/// for verdict in verify(&Config::default(), &untouched, &[]) {
///     assert_eq!(verdict.result, Err(Fault::NotRun));
/// }
/// ```
#[must_use]
pub fn verify(config: &Config, results: &[u8], tables: &[u8]) -> Vec<Verdict> {
    let blocks = results.chunks_exact(size_of::<ResultBlock>()).map(Some);
    let blocks = blocks.take(abi::MAX_RUNS).chain(std::iter::repeat(None));
    let judge = |(run, block): (&Run, Option<&[u8]>)| {
        let result = block
            .ok_or(Fault::NotRun)
            .and_then(read)
            .and_then(|report| {
                let workers = config.workers().map_or(0, u64::from);
                compare(run, workers, &report.values, tables)?;
                Ok(report)
            });
        Verdict { run: *run, result }
    };
    config.runs.iter().zip(blocks).map(judge).collect()
}

fn read(block: &[u8]) -> Result<Report, Fault> {
    let word =
        |offset: usize| u64::from_le_bytes(core::array::from_fn(|place| block[offset + place]));
    let values: Values =
        core::array::from_fn(|place| word(offset_of!(ResultBlock, values) + 8 * place));
    match word(offset_of!(ResultBlock, outcome)) {
        abi::NOT_RUN => Err(Fault::NotRun),
        abi::PASSED => Ok(Report {
            micros: word(offset_of!(ResultBlock, micros)),
            values,
        }),
        outcome => {
            let words = [outcome, values[0], values[1], values[2]];
            let vcpu = word(offset_of!(ResultBlock, vcpu));
            let failure = Failure::decode(words).ok_or(Fault::Unknown(outcome))?;
            Err(Fault::Guest { vcpu, failure })
        }
    }
}

fn compare(run: &Run, all: u64, values: &Values, tables: &[u8]) -> Result<(), Fault> {
    let [first, second, ..] = run.parameters;
    match run.program {
        Program::Ticket => {
            equal(Check::Counter, all * first * second, values[0])?;
            equal(Check::Tickets, all * first, values[1])?;
            equal(Check::Tickets, all * first, values[2])
        }
        Program::Atomic => equal(Check::Counter, all * first, values[0]),
        Program::Sum => equal(Check::Sum, sum::expected(second, 0..first / 8), values[0]),
        Program::Ep => {
            let (x, y) = ep::published(first).unwrap_or((f64::NAN, f64::NAN));
            near(Check::EpX, x, values[0], ep::TOLERANCE)?;
            near(Check::EpY, y, values[1], ep::TOLERANCE)?;
            equal(Check::EpCounts, values[2], values[3..13].iter().sum())
        }
        Program::Is => {
            let expected =
                is::class(first).map_or([0; 2], |class| [class.keys, class.checksum(second)]);
            equal(Check::IsPartial, 5 * second, values[0])?;
            equal(Check::IsKeys, expected[0], values[1])?;
            equal(Check::IsKeys, expected[1], values[2])
        }
        Program::Ipi => ipi::VECTORS
            .into_iter()
            .zip(values)
            .try_for_each(|(vector, found)| {
                equal(
                    Check::Interrupts,
                    all * ipi::expected(vector, all, first),
                    *found,
                )
            }),
        Program::Io => equal(Check::Accesses, io::accesses(all, first), values[0]),
        Program::Clock => {
            equal(Check::Readings, all * first * 2, values[0])?;
            equal(Check::Cycles, 0, values[1])?;
            equal(Check::Clock, 0, values[2])
        }
        Program::Idle => equal(Check::Woken, all - 1, values[1]),
        Program::Litmus => litmus::compare(first, tables, values[0]),
        Program::Cg => {
            let zeta = cg::class(first).map_or(f64::NAN, |class| class.zeta);
            near(Check::CgZeta, zeta, values[0], cg::TOLERANCE)
        }
        Program::Mg => {
            let norm = mg::class(first).map_or(f64::NAN, |class| class.norm);
            near(Check::MgNorm, norm, values[0], mg::TOLERANCE)
        }
        Program::Ft => {
            let unknown = [(f64::NAN, f64::NAN); ft::STEPS];
            let published = ft::class(first).map_or(unknown, |class| class.checksums);
            let found = values.chunks_exact(2);
            published
                .into_iter()
                .zip(found)
                .try_for_each(|((re, im), found)| {
                    near(Check::FtReal, re, found[0], ft::TOLERANCE)?;
                    near(Check::FtImaginary, im, found[1], ft::TOLERANCE)
                })
        }
    }
}

pub(crate) fn equal(check: Check, expected: u64, found: u64) -> Result<(), Fault> {
    if expected == found {
        Ok(())
    } else {
        Err(Fault::Differs {
            check,
            expected,
            found,
        })
    }
}

fn near(check: Check, expected: f64, found: u64, tolerance: f64) -> Result<(), Fault> {
    if agrees(f64::from_bits(found), expected, tolerance) {
        Ok(())
    } else {
        Err(Fault::Differs {
            check,
            expected: expected.to_bits(),
            found,
        })
    }
}
