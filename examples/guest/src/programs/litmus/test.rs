//! The litmus tests, as data.

use core::fmt;

use super::outcome::Outcome;

/// Most threads of a test.
pub const THREADS: usize = 4;
/// Most stores of one thread of a test.
pub(super) const STORES: usize = 2;

/// A word that the threads of a test share. Zero at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// The first.
    X,
    /// The second.
    Y,
}

/// One step of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instruction {
    /// Writes a value, 1 or 2.
    Store(Variable, u8),
    /// Reads into a register; the threads of a test number theirs together.
    Load(Variable, usize),
}

/// A litmus test, by the name it has in the literature.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// Its name.
    pub name: &'static str,
    /// The instructions of each thread.
    pub threads: &'static [&'static [Instruction]],
}

use Instruction::{Load, Store};
use Variable::{X, Y};

/// All tests. What they may end with, [`allowed`](super::allowed()) computes.
pub const TESTS: [Test; 10] = [
    Test {
        name: "SB",
        threads: &[&[Store(X, 1), Load(Y, 0)], &[Store(Y, 1), Load(X, 1)]],
    },
    Test {
        name: "MP",
        threads: &[&[Store(X, 1), Store(Y, 1)], &[Load(Y, 0), Load(X, 1)]],
    },
    Test {
        name: "LB",
        threads: &[&[Load(X, 0), Store(Y, 1)], &[Load(Y, 1), Store(X, 1)]],
    },
    Test {
        name: "S",
        threads: &[&[Store(X, 2), Store(Y, 1)], &[Load(Y, 0), Store(X, 1)]],
    },
    Test {
        name: "R",
        threads: &[&[Store(X, 1), Store(Y, 1)], &[Store(Y, 2), Load(X, 0)]],
    },
    Test {
        name: "2+2W",
        threads: &[&[Store(X, 2), Store(Y, 1)], &[Store(Y, 2), Store(X, 1)]],
    },
    Test {
        name: "WRC",
        threads: &[
            &[Store(X, 1)],
            &[Load(X, 0), Store(Y, 1)],
            &[Load(Y, 1), Load(X, 2)],
        ],
    },
    Test {
        name: "IRIW",
        threads: &[
            &[Store(X, 1)],
            &[Store(Y, 1)],
            &[Load(X, 0), Load(Y, 1)],
            &[Load(Y, 2), Load(X, 3)],
        ],
    },
    Test {
        name: "CoRR",
        threads: &[&[Store(X, 1)], &[Load(X, 0), Load(X, 1)]],
    },
    // The second thread is there to pull the page away between the two stores.
    Test {
        name: "CoWW",
        threads: &[&[Store(X, 1), Store(X, 2)], &[Load(X, 0), Load(X, 1)]],
    },
];

impl Test {
    fn instructions(&self) -> impl Iterator<Item = Instruction> {
        self.threads.iter().copied().flatten().copied()
    }

    /// An outcome of this test in words: its registers, and each variable whose last value can
    /// vary, or did.
    #[must_use]
    pub fn describe(&self, outcome: Outcome) -> impl fmt::Display {
        Description {
            test: *self,
            outcome,
        }
    }

    /// The last value of a variable that has only one.
    fn only_value(&self, variable: Variable) -> Option<u64> {
        let mut values = self.instructions().filter_map(|step| match step {
            Store(to, value) if to == variable => Some(value.into()),
            _ => None,
        });
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => None,
            (only, _) => Some(only.unwrap_or(0)),
        }
    }
}

struct Description {
    test: Test,
    outcome: Outcome,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for step in self.test.instructions() {
            if let Load(_, register) = step {
                write!(f, "{gap}r{register}={}", self.outcome.register(register))?;
                gap = " ";
            }
        }
        for (variable, name) in [(X, "x"), (Y, "y")] {
            let value = self.outcome.variable(variable);
            if self.test.only_value(variable) != Some(value) {
                write!(f, "{gap}{name}={value}")?;
                gap = " ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::REGISTERS;
    use super::*;

    #[test]
    fn every_test_fits_what_carries_its_outcome() {
        for test in TESTS {
            assert!((1..=THREADS).contains(&test.threads.len()), "{}", test.name);
            for thread in test.threads {
                let stores = thread.iter().filter(|step| matches!(step, Store(..)));
                assert!(stores.count() <= STORES, "{}", test.name);
            }
            for instruction in test.instructions() {
                match instruction {
                    Store(_, value) => assert!((1..=2).contains(&value), "{}", test.name),
                    Load(_, register) => assert!(register < REGISTERS, "{}", test.name),
                }
            }
        }
    }

    #[test]
    fn variables_are_told_where_they_vary() {
        let told = |name: &str, outcome: Outcome| {
            let test = TESTS.iter().find(|test| test.name == name).unwrap();
            test.describe(outcome).to_string()
        };
        let ones = Outcome::default()
            .with_variable(X, 1)
            .with_variable(Y, 1)
            .with_register(0, 1);
        assert_eq!(told("SB", ones), "r0=1 r1=0");
        assert_eq!(told("2+2W", ones), "x=1 y=1");
        assert_eq!(told("SB", ones.with_variable(X, 0)), "r0=1 r1=0 x=0");
    }
}
