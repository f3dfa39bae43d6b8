//! Sums over the 27 cells around each cell.

use super::class::EDGE_MAX;
use super::grid::{Grid, Row};

/// A row and the eight around it, by how far they are. At a place of the row stand the cell itself,
/// and the sums of the cells next to it in other rows that share a face, and an edge, with it.
#[derive(Debug)]
pub(super) struct Around {
    centre: Row,
    faces: Row,
    edges: Row,
}

/// The cells around one: itself, and the sums of those that share a face, an edge and a corner.
#[derive(Debug, Clone, Copy)]
pub(super) struct Neighbours {
    pub(super) centre: f64,
    pub(super) faces: f64,
    pub(super) edges: f64,
    pub(super) corners: f64,
}

impl Around {
    /// Room for the longest row.
    pub(super) const EMPTY: Self = Self {
        centre: [0.0; EDGE_MAX + 2],
        faces: [0.0; EDGE_MAX + 2],
        edges: [0.0; EDGE_MAX + 2],
    };

    /// Reads the rows around one of a grid.
    pub(super) fn read(&mut self, grid: Grid<'_>, y: usize, z: usize) {
        let ([up, down], [front, back]) = (grid.beside(y), grid.beside(z));
        grid.sum_rows([(y, z)], &mut self.centre);
        let faces = [(up, z), (down, z), (y, front), (y, back)];
        grid.sum_rows(faces, &mut self.faces);
        let edges = [(up, front), (down, front), (up, back), (down, back)];
        grid.sum_rows(edges, &mut self.edges);
    }

    /// The cells around one of the row.
    pub(super) fn neighbours(&self, x: usize) -> Neighbours {
        let both = |row: &Row| row[x] + row[x + 2];
        Neighbours {
            centre: self.centre[x + 1],
            faces: self.faces[x + 1] + both(&self.centre),
            edges: self.edges[x + 1] + both(&self.faces),
            corners: both(&self.edges),
        }
    }
}

/// Factors of a sum over [`Neighbours`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Stencil {
    centre: f64,
    faces: f64,
    edges: f64,
    corners: f64,
}

impl Stencil {
    /// The discrete Laplacian, the left side of the equation.
    pub(super) const LAPLACIAN: Self = Self {
        centre: -8.0 / 3.0,
        faces: 0.0,
        edges: 1.0 / 6.0,
        corners: 1.0 / 12.0,
    };
    /// The smoother of the classes up to A, an approximate inverse of the Laplacian.
    pub(super) const SMOOTHER: Self = Self {
        centre: -3.0 / 8.0,
        faces: 1.0 / 32.0,
        edges: -1.0 / 64.0,
        corners: 0.0,
    };
    /// The projection of a grid onto one with half its edge.
    pub(super) const PROJECTION: Self = Self {
        centre: 1.0 / 2.0,
        faces: 1.0 / 4.0,
        edges: 1.0 / 8.0,
        corners: 1.0 / 16.0,
    };

    /// The sum.
    pub(super) fn of(self, around: Neighbours) -> f64 {
        self.centre * around.centre
            + self.faces * around.faces
            + self.edges * around.edges
            + self.corners * around.corners
    }
}
