//! The sparse matrix: each vCPU makes the rows that it works on.

use core::ops::Range;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::class::Class;
use super::outer::{SMALLEST, outers};
use super::rows::Rows;
use crate::abi;
use crate::machine::Machine;
use crate::programs::Context;
use crate::programs::floats::Floats;
use crate::programs::outcome::Failure;

/// Entries of a vCPU take whole pages of both arrays.
const GRAIN: u64 = abi::PAGE / 4;

/// A vCPU's rows of the matrix, each in order of columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'m> {
    class: Class,
    own: Rows,
    /// For each own row, where its entries start, and how many there are.
    starts: &'m [AtomicU32],
    lengths: &'m [AtomicU32],
    /// Places of the entries' columns in vectors, and values.
    columns: &'m [AtomicU32],
    values: Floats<'m>,
}

/// Most entries that there can be, with what is left of the last pages of every vCPU.
pub(super) fn capacity(class: &Class, vcpus: u32) -> u64 {
    let most = (class.elements as u64 + 1).pow(2) * class.rows;
    most + u64::from(vcpus) * GRAIN
}

/// Where the matrix is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) starts: u64,
    pub(super) lengths: u64,
    pub(super) columns: u64,
    pub(super) values: u64,
}

impl<'m> Matrix<'m> {
    /// Makes this vCPU's rows.
    ///
    /// # Errors
    /// As [`Context::wait`].
    pub(super) fn make<M: Machine>(
        context: &Context<'m, M>,
        class: &Class,
        own: Rows,
        place: Place,
    ) -> Result<Self, Failure> {
        let memory = context.memory();
        let own_rows = |address| {
            let all = memory.halves(address, own.length() as u64);
            &all[own.places()]
        };
        let mut matrix = Self {
            class: *class,
            own,
            starts: own_rows(place.starts),
            lengths: own_rows(place.lengths),
            columns: &[],
            values: Floats::at(memory, place.values, 0),
        };
        let entries = matrix.reserve();
        context.mail(context.vcpu(), 0).store(entries, SeqCst);
        context.barrier()?;
        let start = (0..context.vcpu()).map(|vcpu| context.mail(vcpu, 0).load(SeqCst));
        let start = start
            .map(|entries| entries.next_multiple_of(GRAIN))
            .sum::<u64>();
        matrix.columns = memory.halves(place.columns + 4 * start, entries);
        matrix.values = Floats::at(memory, place.values + 8 * start, entries as usize);
        matrix.fill();
        context.barrier()?;
        Ok(matrix)
    }

    /// Gives each row room for all that falls into it; the sum.
    fn reserve(&self) -> u64 {
        for length in self.lengths {
            length.store(0, Relaxed);
        }
        for outer in outers(&self.class) {
            for (row, _) in outer.elements() {
                if let Some(row) = self.own.find(*row) {
                    let length = &self.lengths[row];
                    // At most what `capacity` counts, which is below 2^22.
                    length.store(
                        length.load(Relaxed) + outer.elements().len() as u32,
                        Relaxed,
                    );
                }
            }
        }
        let mut next = 0;
        for (start, length) in self.starts.iter().zip(self.lengths) {
            start.store(next, Relaxed);
            next += length.load(Relaxed);
            length.store(0, Relaxed);
        }
        u64::from(next)
    }

    /// Adds up the outer products, in their order.
    fn fill(&self) {
        for outer in outers(&self.class) {
            for (row, factor) in outer.elements() {
                let Some(own) = self.own.find(*row) else {
                    continue;
                };
                let factor = outer.weight * factor;
                for (column, value) in outer.elements() {
                    let mut value = value * factor;
                    if column == row && *row == outer.number {
                        value += SMALLEST - self.class.shift;
                    }
                    self.add(own, self.own.place(*column), value);
                }
            }
        }
    }

    fn entries(&self, row: usize) -> Range<usize> {
        let start = self.starts[row].load(Relaxed) as usize;
        start..start + self.lengths[row].load(Relaxed) as usize
    }

    /// Adds to an entry, which it makes if there is none.
    fn add(&self, row: usize, column: u32, value: f64) {
        let entries = self.entries(row);
        let columns = &self.columns[entries.clone()];
        let found = columns.partition_point(|at| at.load(Relaxed) < column);
        let place = entries.start + found;
        if columns
            .get(found)
            .is_some_and(|at| at.load(Relaxed) == column)
        {
            self.values.set(place, self.values.get(place) + value);
            return;
        }
        for from in (place..entries.end).rev() {
            self.columns[from + 1].store(self.columns[from].load(Relaxed), Relaxed);
            self.values.set(from + 1, self.values.get(from));
        }
        self.columns[place].store(column, Relaxed);
        self.values.set(place, value);
        let length = &self.lengths[row];
        length.store(length.load(Relaxed) + 1, Relaxed);
    }

    /// The product of the own rows with a vector.
    pub(super) fn times(&self, vector: Floats<'m>, product: Floats<'m>) {
        for row in 0..product.len() {
            let entries = self.entries(row);
            let columns = &self.columns[entries.clone()];
            let products = columns.iter().zip(self.values.part(entries).iter());
            let sum = products.fold(0.0, |sum, (column, value)| {
                sum + value * vector.get(column.load(Relaxed) as usize)
            });
            product.set(row, sum);
        }
    }
}
