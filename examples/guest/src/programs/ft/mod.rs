//! NAS FT: a partial differential equation in three dimensions by Fourier transforms.
//!
//! The box of points is cut into planes twice. What is along x or y is done by the vCPU that has
//! the plane of that z; what is along z, and all that is done to frequencies, by the one that has
//! the plane of that y. Between the two, all points move from vCPU to vCPU, once in every step.
//! What is computed follows report NAS-95-020 of the NAS Parallel Benchmarks.

mod class;
mod cube;
mod line;

use core::f64::consts::PI;
use core::ops::Range;

use super::Context;
use super::floats::addresses;
use super::outcome::{Check, Failure, Values, values};
use super::parts::Parts;
use super::series::exp;
use crate::abi;
use crate::machine::Machine;
use cube::{Cube, Factors};
use line::{Direction, Transform};

pub use class::{Class, STEPS, TOLERANCE, class};

/// How fast frequencies decay.
const ALPHA: f64 = 1e-6;
/// Points that a checksum adds up.
const CHECKED: usize = 1024;

/// Addresses of the frequencies and of the points, and where they end.
fn layout(class: &Class) -> ([u64; 2], u64) {
    let points = class.edges.iter().product::<usize>() as u64;
    addresses([16 * points; 2])
}

/// Bytes of memory it takes; 0 for a class that does not exist.
#[must_use]
pub fn memory(logarithm: u64) -> u64 {
    class(logarithm).map_or(0, |class| layout(&class).1 - abi::DATA)
}

/// The two boxes, and the vCPU's shares of them.
struct Solver<'c, 'm, M> {
    context: &'c Context<'m, M>,
    parts: Parts<'c, 'm, M>,
    class: &'c Class,
    frequencies: Cube<'m>,
    points: Cube<'m>,
    /// Own planes of equal z, and of equal y.
    planes: Range<usize>,
    across: Range<usize>,
}

impl<'c, 'm, M: Machine> Solver<'c, 'm, M> {
    fn new(context: &'c Context<'m, M>, class: &'c Class) -> Result<Self, Failure> {
        let ([frequencies, points], end) = layout(class);
        context.need_memory(end)?;
        let parts = Parts::new(context);
        let cube = |address| Cube::at(context.memory(), address, class.edges);
        let [_, height, depth] = class.edges.map(|edge| edge as u64);
        Ok(Self {
            context,
            planes: parts.owned(depth),
            across: parts.owned(height),
            parts,
            class,
            frequencies: cube(frequencies),
            points: cube(points),
        })
    }

    /// The frequencies of the random points that it starts with.
    #[inline(never)]
    fn start(&self) -> Result<(), Failure> {
        let transform = Transform::new(Direction::Forth);
        let cube = self.frequencies;
        cube.randomize(self.planes.clone());
        self.each(&self.planes, |planes| {
            cube.transform_planes(&transform, planes);
        });
        self.context.barrier()?;
        self.each(&self.across, |planes| {
            cube.transform_across(&transform, planes, cube);
        });
        Ok(())
    }

    /// One step in time, and the points after it.
    fn step(&self, factors: &Factors, transform: &Transform) -> Result<(), Failure> {
        let (from, to) = (self.frequencies, self.points);
        from.scale(factors, self.across.clone());
        self.each(&self.across, |planes| {
            from.transform_across(transform, planes, to);
        });
        self.context.barrier()?;
        self.each(&self.planes, |planes| {
            to.transform_planes(transform, planes);
        });
        Ok(())
    }

    /// Does something to planes, one after the other.
    fn each(&self, planes: &Range<usize>, step: impl Fn(Range<usize>)) {
        for plane in planes.clone() {
            step(plane..plane + 1);
            self.context.worked();
        }
    }

    /// The mean of the points that are checked: real and imaginary part.
    fn checksum(&self) -> Result<(f64, f64), Failure> {
        let [width, height, depth] = self.class.edges;
        let total = (width * height * depth) as f64;
        let own = |planes: Range<usize>| {
            let checked =
                (1..=CHECKED).filter(move |number| planes.contains(&(5 * number % depth)));
            checked.map(|number| {
                let (x, y, z) = (number % width, 3 * number % height, 5 * number % depth);
                self.points.get(self.points.place(x, y, z))
            })
        };
        let re = |planes| own(planes).fold(0.0, |sum, point| sum + point.re);
        let im = |planes| own(planes).fold(0.0, |sum, point| sum + point.im);
        let re = self.parts.sum(depth as u64, re)?;
        let im = self.parts.sum(depth as u64, im)?;
        Ok((re / total, im / total))
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
    solver.start()?;
    let decay = |frequency| exp(-4.0 * ALPHA * PI * PI * (frequency * frequency) as f64);
    let factors = Factors::new(class.edges, decay);
    let transform = Transform::new(Direction::Back);
    let mut checksums = [(0.0, 0.0); STEPS];
    for checksum in &mut checksums {
        solver.step(&factors, &transform)?;
        *checksum = solver.checksum()?;
    }
    if context.vcpu() != 0 {
        return Ok(values(&[]));
    }
    let mut report = [0; 2 * STEPS];
    for (step, (found, published)) in checksums.iter().zip(class.checksums).enumerate() {
        Failure::check_near(Check::FtReal, published.0, found.0, TOLERANCE)?;
        Failure::check_near(Check::FtImaginary, published.1, found.1, TOLERANCE)?;
        report[2 * step] = found.0.to_bits();
        report[2 * step + 1] = found.1.to_bits();
    }
    Ok(values(&report))
}
