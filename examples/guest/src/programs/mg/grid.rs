//! A cube of cells whose faces meet their opposites.

use crate::memory::Memory;
use crate::programs::floats::Floats;

use super::class::EDGE_MAX;

/// A row of cells with the neighbour of either end.
pub(super) type Row = [f64; EDGE_MAX + 2];

/// A cube of doubles, row by row and plane by plane. Every edge is a power of two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid<'m> {
    cells: Floats<'m>,
    edge: usize,
}

impl<'m> Grid<'m> {
    /// The grid at an address, with `edge` cells along each edge.
    pub(super) fn at(memory: Memory<'m>, address: u64, edge: usize) -> Self {
        let cells = Floats::at(memory, address, edge.pow(3));
        Self { cells, edge }
    }

    /// Cells along each edge.
    pub(super) const fn edge(self) -> usize {
        self.edge
    }

    /// All cells, in order.
    pub(super) const fn cells(self) -> Floats<'m> {
        self.cells
    }

    /// The cells of a plane.
    pub(super) fn plane(self, z: usize) -> Floats<'m> {
        let cells = self.edge * self.edge;
        self.cells.part(z * cells..(z + 1) * cells)
    }

    /// The cells of a row. Neither number has to be below the edge: after the last comes the first.
    pub(super) fn row(self, y: usize, z: usize) -> Floats<'m> {
        let inside = self.edge - 1;
        let start = ((z & inside) * self.edge + (y & inside)) * self.edge;
        self.cells.part(start..start + self.edge)
    }

    /// The sum of some rows, cell by cell, with the neighbour of either end.
    pub(super) fn sum_rows<const N: usize>(self, rows: [(usize, usize); N], sum: &mut Row) {
        let rows = rows.map(|(y, z)| self.row(y, z));
        for (x, sum) in sum[1..=self.edge].iter_mut().enumerate() {
            *sum = rows.iter().map(|row| row.get(x)).sum();
        }
        sum[0] = sum[self.edge];
        sum[self.edge + 1] = sum[1];
    }

    /// The numbers of the cell before and of the one after.
    pub(super) const fn beside(self, place: usize) -> [usize; 2] {
        [place + self.edge - 1, place + 1]
    }
}
