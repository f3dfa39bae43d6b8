//! NAS MG: Poisson's equation on a cube by multigrid cycles.
//!
//! Every vCPU has the same share of the planes of each grid. What it reads of others are the planes
//! next to its own; on grids with fewer planes than vCPUs some have nothing to do. What is
//! computed follows report NAS-95-020 of the NAS Parallel Benchmarks.

mod charges;
mod class;
mod cycle;
mod grid;
mod stencil;

use core::ops::Range;

use super::Context;
use super::float::sqrt;
use super::floats::addresses;
use super::outcome::{Check, Failure, Values, values};
use super::parts::Parts;
use crate::abi;
use crate::machine::Machine;
use cycle::{interpolate, project, residual, smooth};
use grid::Grid;

pub use class::{Class, TOLERANCE, class};

/// Most grids.
const LEVELS_MAX: usize = class::EDGE_MAX.ilog2() as usize;

/// Bytes of the grid of a level; levels that a class does not have are empty.
fn bytes(class: &Class, level: usize) -> u64 {
    if level < class.levels as usize {
        8 << (3 * (level + 1))
    } else {
        0
    }
}

/// Addresses of the estimate and of what is left, for each level, then of the right side; and where
/// they end.
fn layout(class: &Class) -> ([u64; 2 * LEVELS_MAX + 1], u64) {
    let finest = class.levels as usize - 1;
    addresses(core::array::from_fn(|array| match array / LEVELS_MAX {
        0 | 1 => bytes(class, array % LEVELS_MAX),
        _ => bytes(class, finest),
    }))
}

/// Bytes of memory it takes; 0 for a class that does not exist.
#[must_use]
pub fn memory(logarithm: u64) -> u64 {
    class(logarithm).map_or(0, |class| layout(&class).1 - abi::DATA)
}

/// The grids, and the vCPU's share of them.
struct Solver<'c, 'm, M> {
    context: &'c Context<'m, M>,
    parts: Parts<'c, 'm, M>,
    /// The number of the finest grid; the coarsest, of 8 cells, is 0.
    finest: usize,
    estimates: [Grid<'m>; LEVELS_MAX],
    left: [Grid<'m>; LEVELS_MAX],
    right: Grid<'m>,
}

impl<'c, 'm, M: Machine> Solver<'c, 'm, M> {
    fn new(context: &'c Context<'m, M>, class: &Class) -> Result<Self, Failure> {
        let (addresses, end) = layout(class);
        context.need_memory(end)?;
        let finest = class.levels as usize - 1;
        let grid = |level: usize, array: usize| {
            let level = level.min(finest);
            Grid::at(context.memory(), addresses[array], 2 << level)
        };
        let estimates = core::array::from_fn(|level| grid(level, level.min(finest)));
        let left = core::array::from_fn(|level| grid(level, LEVELS_MAX + level.min(finest)));
        Ok(Self {
            context,
            parts: Parts::new(context),
            finest,
            estimates,
            left,
            right: grid(finest, 2 * LEVELS_MAX),
        })
    }

    /// The vCPU's planes of a level.
    fn planes(&self, level: usize) -> Range<usize> {
        self.parts.owned(2 << level)
    }

    /// Does something to each of the vCPU's planes of a level, one after the other, and meets the others.
    fn each(&self, level: usize, step: impl Fn(Range<usize>)) -> Result<(), Failure> {
        for z in self.planes(level) {
            step(z..z + 1);
            self.context.worked();
        }
        self.context.barrier()
    }

    fn clear(&self, level: usize) {
        for z in self.planes(level) {
            self.estimates[level].plane(z).fill(0.0);
        }
    }

    /// What the estimate leaves of the right side.
    fn residual(&self, level: usize) -> Result<(), Failure> {
        let left = self.left[level];
        let right = if level == self.finest {
            self.right
        } else {
            left
        };
        let estimate = self.estimates[level];
        self.each(level, |planes| residual(right, estimate, left, planes))
    }

    fn smooth(&self, level: usize) -> Result<(), Failure> {
        let (left, estimate) = (self.left[level], self.estimates[level]);
        self.each(level, |planes| smooth(left, estimate, planes))
    }

    /// One cycle: down to the coarsest grid, and up again.
    fn cycle(&self) -> Result<(), Failure> {
        for level in (0..self.finest).rev() {
            let [fine, coarse] = [self.left[level + 1], self.left[level]];
            self.each(level, |planes| project(fine, coarse, planes))?;
        }
        self.clear(0);
        self.smooth(0)?;
        for level in 1..=self.finest {
            let estimate = self.estimates[level];
            if level < self.finest {
                self.clear(level);
            }
            let coarse = self.estimates[level - 1];
            self.each(level, |planes| interpolate(coarse, estimate, planes))?;
            self.residual(level)?;
            self.smooth(level)?;
        }
        self.residual(self.finest)
    }

    /// The norm of what is left on the finest grid.
    fn norm(&self) -> Result<f64, Failure> {
        let left = self.left[self.finest];
        let squares = self.parts.sum(left.edge() as u64, |planes| {
            let cells = planes.flat_map(|z| left.plane(z).iter());
            cells.fold(0.0, |sum, cell| sum + cell * cell)
        })?;
        Ok(sqrt(squares / left.cells().len() as f64))
    }
}

#[inline(never)]
pub(super) fn run<M: Machine>(
    context: &Context<'_, M>,
    &[logarithm, ..]: &[u64; 4],
) -> Result<Values, Failure> {
    let Some(class) = class(logarithm) else {
        return Err(Failure::Parameter {
            index: 0,
            value: logarithm,
        });
    };
    let solver = Solver::new(context, &class)?;
    let finest = solver.finest;
    solver.clear(finest);
    charges::place(context, solver.right, solver.planes(finest))?;
    solver.residual(finest)?;
    let before = solver.norm()?;
    for _ in 0..class.iterations {
        solver.cycle()?;
    }
    let norm = solver.norm()?;
    if context.vcpu() != 0 {
        return Ok(values(&[]));
    }
    Failure::check_near(Check::MgNorm, class.norm, norm, TOLERANCE)?;
    Ok(values(&[norm.to_bits(), before.to_bits()]))
}
