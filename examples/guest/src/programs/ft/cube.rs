//! A box of complex numbers, and what one vCPU does to its share of it.

use core::ops::Range;

use super::class::EDGE_MAX;
use super::line::{Complex, Transform, reversed};
use crate::memory::Memory;
use crate::programs::floats::Floats;
use crate::programs::random::Nas;

/// The generator's first number. Each point has two numbers of its own, in their order.
const SEED: u64 = 314_159_265;

/// A box of complex numbers, row by row and plane by plane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cube<'m> {
    parts: Floats<'m>,
    edges: [usize; 3],
}

/// Points in a straight line.
#[derive(Debug, Clone, Copy)]
struct Line {
    first: usize,
    step: usize,
    points: usize,
}

impl<'m> Cube<'m> {
    /// The box at an address.
    pub(super) fn at(memory: Memory<'m>, address: u64, edges: [usize; 3]) -> Self {
        let points: usize = edges.iter().product();
        Self {
            parts: Floats::at(memory, address, 2 * points),
            edges,
        }
    }

    /// Where a point is among all.
    pub(super) const fn place(self, x: usize, y: usize, z: usize) -> usize {
        (z * self.edges[1] + y) * self.edges[0] + x
    }

    pub(super) fn get(self, place: usize) -> Complex {
        Complex {
            re: self.parts.get(2 * place),
            im: self.parts.get(2 * place + 1),
        }
    }

    fn set(self, place: usize, value: Complex) {
        self.parts.set(2 * place, value.re);
        self.parts.set(2 * place + 1, value.im);
    }

    /// Fills planes of equal z with random numbers.
    pub(super) fn randomize(self, planes: Range<usize>) {
        let plane = 2 * self.place(0, 0, 1);
        let numbers = planes.start * plane..planes.end * plane;
        let mut random = Nas::after(SEED, numbers.start as u64);
        let next = core::iter::repeat_with(|| random.next_fraction());
        self.parts.part(numbers).fill_from(next);
    }

    /// Transforms the lines along x and along y of planes of equal z.
    pub(super) fn transform_planes(self, transform: &Transform, planes: Range<usize>) {
        let [width, height, _] = self.edges;
        for z in planes {
            for y in 0..height {
                let line = Line {
                    first: self.place(0, y, z),
                    step: 1,
                    points: width,
                };
                self.transform(transform, line, self);
            }
            for x in 0..width {
                let line = Line {
                    first: self.place(x, 0, z),
                    step: width,
                    points: height,
                };
                self.transform(transform, line, self);
            }
        }
    }

    /// Transforms the lines along z of planes of equal y, into another box or this one.
    pub(super) fn transform_across(self, transform: &Transform, planes: Range<usize>, to: Self) {
        let [width, height, depth] = self.edges;
        for y in planes {
            for x in 0..width {
                let line = Line {
                    first: self.place(x, y, 0),
                    step: width * height,
                    points: depth,
                };
                self.transform(transform, line, to);
            }
        }
    }

    #[inline(never)]
    fn transform(self, transform: &Transform, line: Line, to: Self) {
        let mut buffer = [Complex::ZERO; EDGE_MAX];
        let buffer = &mut buffer[..line.points];
        for point in 0..line.points {
            let value = self.get(line.first + point * line.step);
            buffer[reversed(point, line.points)] = value;
        }
        transform.transform(buffer);
        for (point, value) in buffer.iter().enumerate() {
            to.set(line.first + point * line.step, *value);
        }
    }

    /// Multiplies every point of planes of equal y with the factors of its three numbers.
    pub(super) fn scale(self, factors: &Factors, planes: Range<usize>) {
        let [width, _, depth] = self.edges;
        for z in 0..depth {
            for y in planes.clone() {
                let row = factors.of(1, y) * factors.of(2, z);
                for x in 0..width {
                    let place = self.place(x, y, z);
                    self.set(place, self.get(place).scaled(row * factors.of(0, x)));
                }
            }
        }
    }
}

/// For each direction, a factor for every frequency.
#[derive(Debug)]
pub(super) struct Factors {
    edges: [usize; 3],
    /// Those of frequencies up to half of the longest edge; higher ones mirror them.
    by_frequency: [f64; EDGE_MAX / 2 + 1],
}

impl Factors {
    /// Factors that depend on a frequency, which is at most half an edge.
    pub(super) fn new(edges: [usize; 3], of: impl Fn(usize) -> f64) -> Self {
        let by_frequency = core::array::from_fn(of);
        Self {
            edges,
            by_frequency,
        }
    }

    fn of(&self, direction: usize, place: usize) -> f64 {
        self.by_frequency[place.min(self.edges[direction] - place)]
    }
}
