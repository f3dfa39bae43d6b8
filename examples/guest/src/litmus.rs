//! The host's own judgement of the litmus tests.

use crate::programs::Check;
use crate::programs::litmus::{Case, Outcome, TABLES, allowed, table};
use crate::verify::{Fault, equal};
use crate::{Config, Program, abi};

/// What the rules of x86-TSO say of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Some order of the instructions leads to it.
    InOrder,
    /// No order of the instructions leads to it, but store buffers do.
    Weak,
    /// Nothing leads to it.
    Forbidden,
}

/// An outcome that came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The outcome.
    pub outcome: Outcome,
    /// Rounds that ended so.
    pub rounds: u64,
    /// What x86-TSO says of it.
    pub judgement: Judgement,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseReport {
    /// The case.
    pub case: Case,
    /// What came about, in the order of [`Outcome`].
    pub seen: Vec<Seen>,
}

impl CaseReport {
    /// Rounds that ran.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.seen.iter().map(|seen| seen.rounds).sum()
    }

    /// Rounds that ended in outcomes of one kind.
    #[must_use]
    pub fn rounds_of(&self, judgement: Judgement) -> u64 {
        let of_kind = |seen: &&Seen| seen.judgement == judgement;
        let seen = self.seen.iter().filter(of_kind);
        seen.map(|seen| seen.rounds).sum()
    }

    fn of(case: Case, tables: &[u8]) -> Self {
        let (may, in_order) = (allowed(case), allowed(case.in_order()));
        let start = (table(case) - abi::LITMUS) as usize;
        let (counts, _) = tables.get(start..).unwrap_or_default().as_chunks();
        let counts = counts.iter().take(Outcome::COUNT).enumerate();
        let seen = counts.filter_map(|(index, count)| {
            let outcome = Outcome::at(index)?;
            let rounds = u64::from(u32::from_le_bytes(*count));
            (rounds > 0).then(|| Seen {
                outcome,
                rounds,
                judgement: if in_order.contains(outcome) {
                    Judgement::InOrder
                } else if may.contains(outcome) {
                    Judgement::Weak
                } else {
                    Judgement::Forbidden
                },
            })
        });
        Self {
            case,
            seen: seen.collect(),
        }
    }
}

/// What became of all cases, from the [`TABLES`] bytes of guest memory at
/// [`abi::LITMUS`]; of a table that is missing, no round ran.
#[must_use]
pub fn litmus(tables: &[u8]) -> Vec<CaseReport> {
    Case::all()
        .map(|case| CaseReport::of(case, tables))
        .collect()
}

impl Config {
    /// Bytes of guest memory at [`abi::LITMUS`] that a verdict takes.
    #[must_use]
    pub fn litmus_tables(&self) -> u64 {
        let listed = self.runs.iter().any(|run| run.program == Program::Litmus);
        if listed { TABLES } else { 0 }
    }
}

/// Compares what the guest reports with what its tables hold, and that with what x86-TSO allows.
pub(crate) fn compare(rounds: u64, tables: &[u8], total: u64) -> Result<(), Fault> {
    for report in litmus(tables) {
        let case = report.case;
        for seen in &report.seen {
            if seen.judgement == Judgement::Forbidden {
                return Err(Fault::Forbidden {
                    case,
                    outcome: seen.outcome,
                    rounds: seen.rounds,
                });
            }
        }
        equal(Check::Rounds, rounds, report.rounds())?;
    }
    equal(Check::Rounds, rounds * Case::COUNT as u64, total)
}
