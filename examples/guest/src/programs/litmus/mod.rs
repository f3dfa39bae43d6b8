//! Litmus tests: what orders of loads and stores the shared memory shows to the processors.
//!
//! Every test runs with its variables on one page and on two, and with plain and with locked
//! stores. Its threads run on vCPUs that take turns at its parts, over batches of instances of its
//! variables; a round is one run of one instance. How often each outcome came about is counted in
//! guest memory ([`table`]), for the host to judge against [`allowed()`], which
//! knows no more than the rules of x86-TSO.

mod allowed;
mod batch;
mod outcome;
mod run;
mod test;

use core::fmt;

use crate::abi;

pub use allowed::allowed;
pub use outcome::{Outcome, Outcomes};
pub use run::ROUNDS_MAX;
pub(super) use run::run;
pub use test::{Instruction, TESTS, THREADS, Test, Variable};

/// Where the two variables of a round lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// Side by side.
    One,
    /// On pages of their own.
    Two,
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stores {
    /// By plain stores.
    Plain,
    /// By locked exchanges.
    Locked,
}

/// A test in one of its variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    test: usize,
    /// Where the variables lie.
    pub pages: Pages,
    /// How values are written.
    pub stores: Stores,
}

impl Case {
    /// How many there are.
    pub const COUNT: usize = 4 * TESTS.len();

    /// All of them, in the order of their tables.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(|index| Self {
            test: index / 4,
            pages: [Pages::One, Pages::Two][index / 2 % 2],
            stores: [Stores::Plain, Stores::Locked][index % 2],
        })
    }

    /// The test.
    #[must_use]
    pub fn test(self) -> Test {
        TESTS[self.test]
    }

    /// The same with locked stores: what it allows is what some order of its instructions gives.
    #[must_use]
    pub fn in_order(self) -> Self {
        Self {
            stores: Stores::Locked,
            ..self
        }
    }

    fn index(self) -> usize {
        self.test * 4 + (self.pages as usize) * 2 + self.stores as usize
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = match self.pages {
            Pages::One => "one page",
            Pages::Two => "two pages",
        };
        let stores = match self.stores {
            Stores::Plain => "plain",
            Stores::Locked => "locked",
        };
        write!(f, "{}, {pages}, {stores} stores", self.test().name)
    }
}

/// Address of a case's table: for each outcome, by its index, how many rounds ended so, in 32 bits.
#[must_use]
pub fn table(case: Case) -> u64 {
    abi::LITMUS + case.index() as u64 * TABLE
}

/// Bytes of a table.
const TABLE: u64 = 4 * Outcome::COUNT as u64;

/// Bytes of all tables, from [`abi::LITMUS`].
pub const TABLES: u64 = Case::COUNT as u64 * TABLE;

const _: () = assert!(abi::LITMUS + TABLES <= abi::DATA);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_table_of_its_own() {
        let tables: Vec<_> = Case::all().map(table).collect();
        assert_eq!(tables.len(), Case::COUNT);
        assert!(tables.windows(2).all(|two| two[1] == two[0] + TABLE));
        assert_eq!(tables[0], abi::LITMUS);
    }
}
