//! The steps of a cycle, each on the planes of one vCPU.

use core::ops::Range;

use super::class::EDGE_MAX;
use super::grid::{Grid, Row};
use super::stencil::{Around, Stencil};

/// Visits the rows of planes with what is around them.
fn each_row(grid: Grid<'_>, planes: Range<usize>, mut visit: impl FnMut(&Around, usize, usize)) {
    let mut around = Around::EMPTY;
    for z in planes {
        for y in 0..grid.edge() {
            around.read(grid, y, z);
            visit(&around, y, z);
        }
    }
}

/// What the estimate `u` leaves of the right side `v`. The two grids of `v` and `left` may be one.
#[inline(never)]
pub(super) fn residual(v: Grid<'_>, u: Grid<'_>, left: Grid<'_>, planes: Range<usize>) {
    each_row(u, planes, |around, y, z| {
        let (v, left) = (v.row(y, z), left.row(y, z));
        for (x, v) in v.iter().enumerate() {
            left.set(x, v - Stencil::LAPLACIAN.of(around.neighbours(x)));
        }
    });
}

/// Improves the estimate `u` by what it left.
#[inline(never)]
pub(super) fn smooth(left: Grid<'_>, u: Grid<'_>, planes: Range<usize>) {
    each_row(left, planes, |around, y, z| {
        let row = u.row(y, z);
        for x in 0..row.len() {
            row.set(x, row.get(x) + Stencil::SMOOTHER.of(around.neighbours(x)));
        }
    });
}

/// Projects a grid onto planes of the next coarser one. Of each two cells the second one has a
/// counterpart there.
#[inline(never)]
pub(super) fn project(fine: Grid<'_>, coarse: Grid<'_>, planes: Range<usize>) {
    let mut around = Around::EMPTY;
    for z in planes {
        for y in 0..coarse.edge() {
            around.read(fine, 2 * y + 1, 2 * z + 1);
            let row = coarse.row(y, z);
            for x in 0..row.len() {
                row.set(x, Stencil::PROJECTION.of(around.neighbours(2 * x + 1)));
            }
        }
    }
}

/// Adds a grid to planes of the next finer one, linearly between its cells.
#[inline(never)]
pub(super) fn interpolate(coarse: Grid<'_>, fine: Grid<'_>, planes: Range<usize>) {
    let mut line: Row = [0.0; EDGE_MAX + 2];
    for z in planes {
        for y in 0..fine.edge() {
            // A cell without a counterpart lies between two. Where there is one it counts twice.
            let ([y0, y1], [z0, z1]) = (beneath(coarse, y), beneath(coarse, z));
            let corners = [(y0, z0), (y1, z0), (y0, z1), (y1, z1)];
            coarse.sum_rows(corners, &mut line);
            let row = fine.row(y, z);
            for (x, pair) in line[..=coarse.edge()].windows(2).enumerate() {
                let (even, odd) = (2 * x, 2 * x + 1);
                row.set(even, row.get(even) + 0.125 * (pair[0] + pair[1]));
                row.set(odd, row.get(odd) + 0.25 * pair[1]);
            }
        }
    }
}

/// The two coarse cells that a fine one lies between, or the one it coincides with, twice.
fn beneath(coarse: Grid<'_>, fine: usize) -> [usize; 2] {
    let place = fine / 2;
    if fine % 2 == 1 {
        [place, place]
    } else {
        [place + coarse.edge() - 1, place]
    }
}
