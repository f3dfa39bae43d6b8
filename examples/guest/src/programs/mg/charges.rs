//! The right side of the equation: charges of both signs where random numbers are extreme.

use core::ops::Range;
use core::sync::atomic::Ordering::SeqCst;

use super::grid::Grid;
use crate::machine::Machine;
use crate::programs::Context;
use crate::programs::outcome::Failure;
use crate::programs::random::Nas;

/// The generator's first number. Each cell has a number of its own, in their order.
const SEED: u64 = 314_159_265;
/// Charges of each sign.
const CHARGES: usize = 10;

/// The cells with the largest of the numbers seen, the largest one first.
#[derive(Debug, Clone, Copy)]
struct Largest([(u64, u64); CHARGES]);

impl Largest {
    const NONE: Self = Self([(0, 0); CHARGES]);

    fn see(&mut self, number: u64, cell: u64) {
        let place = self.0.partition_point(|(seen, _)| *seen > number);
        if place < CHARGES {
            self.0[place..].rotate_right(1);
            self.0[place] = (number, cell);
        }
    }
}

/// Sets planes of a grid: zero but for the charges.
///
/// # Errors
/// As [`Context::wait`].
pub(super) fn place<M: Machine>(
    context: &Context<'_, M>,
    grid: Grid<'_>,
    planes: Range<usize>,
) -> Result<(), Failure> {
    let plane = (grid.edge() * grid.edge()) as u64;
    let cells = planes.start as u64 * plane..planes.end as u64 * plane;
    let mut random = Nas::after(SEED, cells.start);
    let mut highest = Largest::NONE;
    let mut lowest = Largest::NONE;
    for cell in cells.clone() {
        let number = random.next();
        highest.see(number, cell);
        // All numbers have 46 bits, so that this turns their order round.
        lowest.see(!number, cell);
    }
    let found = highest.0.into_iter().chain(lowest.0);
    for (word, value) in (0..).zip(found.flat_map(|(number, cell)| [number, cell])) {
        context.mail(context.vcpu(), word).store(value, SeqCst);
    }
    context.barrier()?;
    for z in planes {
        grid.plane(z).fill(0.0);
    }
    for (sign, charge) in [1.0, -1.0].into_iter().enumerate() {
        let first = (sign * CHARGES) as u64;
        let mut all = Largest::NONE;
        for vcpu in 0..context.vcpus() {
            for entry in first..first + CHARGES as u64 {
                let word = |word| context.mail(vcpu, 2 * entry + word).load(SeqCst);
                all.see(word(0), word(1));
            }
        }
        for (_, cell) in all.0 {
            if cells.contains(&cell) {
                grid.cells().set(cell as usize, charge);
            }
        }
    }
    context.barrier()
}
