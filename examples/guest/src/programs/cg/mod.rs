//! NAS CG: the smallest eigenvalue of a sparse matrix by inverse iteration, each step of which
//! solves a linear system by conjugate gradients.
//!
//! Rows are spread over vCPUs. Only the vectors that the matrix is multiplied with are read by
//! others than the one that writes them: every vCPU fetches those elements that its rows have
//! entries for. What is computed follows report NAS-95-020 of the NAS Parallel Benchmarks.

mod class;
mod matrix;
mod outer;
mod rows;

use super::Context;
use super::float::sqrt;
use super::floats::{Floats, addresses};
use super::outcome::{Check, Failure, Values, values};
use super::parts::Parts;
use crate::abi;
use crate::machine::Machine;
use matrix::{Matrix, Place};
use rows::Rows;

pub use class::{Class, TOLERANCE, class};

/// Steps of conjugate gradients in each iteration.
const STEPS: u32 = 25;

/// Addresses of five vectors and the matrix's four arrays, and where they end.
fn layout(class: &Class, vcpus: u32) -> ([u64; 9], u64) {
    let vector = Rows::new(class.rows, 0, vcpus).length() as u64;
    let entries = matrix::capacity(class, vcpus);
    let [v, s] = [8 * vector, 4 * vector];
    addresses([v, v, v, v, v, s, s, 4 * entries, 8 * entries])
}

/// Bytes of memory it takes; 0 for a class that does not exist.
#[must_use]
pub fn memory(rows: u64, vcpus: u32) -> u64 {
    class(rows).map_or(0, |class| layout(&class, vcpus).1 - abi::DATA)
}

/// The state of the solver, of which a vCPU sees all of two vectors and its rows of the others.
struct Solver<'c, 'm, M> {
    context: &'c Context<'m, M>,
    parts: Parts<'c, 'm, M>,
    class: &'c Class,
    own: Rows,
    matrix: Matrix<'m>,
    all_z: Floats<'m>,
    all_p: Floats<'m>,
    x: Floats<'m>,
    z: Floats<'m>,
    p: Floats<'m>,
    q: Floats<'m>,
    r: Floats<'m>,
}

impl<'c, 'm, M: Machine> Solver<'c, 'm, M> {
    fn new(context: &'c Context<'m, M>, class: &'c Class) -> Result<Self, Failure> {
        let ([x, z, p, q, r, starts, lengths, columns, values], end) =
            layout(class, context.vcpus());
        context.need_memory(end)?;
        let own = Rows::new(class.rows, context.vcpu(), context.vcpus());
        let place = Place {
            starts,
            lengths,
            columns,
            values,
        };
        let matrix = Matrix::make(context, class, own, place)?;
        let vector = |address| Floats::at(context.memory(), address, own.length());
        let part = |address| vector(address).part(own.places());
        Ok(Self {
            context,
            parts: Parts::new(context),
            class,
            own,
            matrix,
            all_z: vector(z),
            all_p: vector(p),
            x: part(x),
            z: part(z),
            p: part(p),
            q: part(q),
            r: part(r),
        })
    }

    fn dot(&self, left: Floats<'m>, right: Floats<'m>) -> Result<f64, Failure> {
        self.sum(left, right, |left, right| left * right)
    }

    fn sum(
        &self,
        left: Floats<'m>,
        right: Floats<'m>,
        of: impl Fn(f64, f64) -> f64,
    ) -> Result<f64, Failure> {
        let first = self.own.owned().start;
        self.parts.sum(self.class.rows, |rows| {
            let rows = rows.start - first..rows.end - first;
            let pairs = left.part(rows.clone()).iter().zip(right.part(rows).iter());
            pairs.fold(0.0, |sum, (left, right)| sum + of(left, right))
        })
    }

    /// Solves for `z` so that the matrix times it is `x`; the norm of what is left.
    fn solve(&self) -> Result<f64, Failure> {
        self.z.fill(0.0);
        self.r.fill_from(self.x.iter());
        self.p.fill_from(self.x.iter());
        let mut rho = self.dot(self.r, self.r)?;
        for _ in 0..STEPS {
            self.matrix.times(self.all_p, self.q);
            // The barrier of each sum is also what keeps `p` from changing while it is read.
            let alpha = rho / self.dot(self.p, self.q)?;
            add(self.z, alpha, self.p);
            add(self.r, -alpha, self.q);
            let last = rho;
            rho = self.dot(self.r, self.r)?;
            let beta = rho / last;
            let next = self.r.iter().zip(self.p.iter());
            self.p.fill_from(next.map(|(r, p)| r + beta * p));
            self.context.barrier()?;
        }
        self.matrix.times(self.all_z, self.r);
        let squares = self.sum(self.x, self.r, |x, r| (x - r) * (x - r))?;
        Ok(sqrt(squares))
    }
}

/// Adds a multiple of a vector.
fn add(to: Floats<'_>, factor: f64, vector: Floats<'_>) {
    let sums = to.iter().zip(vector.iter());
    to.fill_from(sums.map(|(to, vector)| to + factor * vector));
}

#[inline(never)]
pub(super) fn run<M: Machine>(
    context: &Context<'_, M>,
    &[rows, ..]: &[u64; 4],
) -> Result<Values, Failure> {
    let Some(class) = class(rows) else {
        return Err(Failure::Parameter {
            index: 0,
            value: rows,
        });
    };
    let solver = Solver::new(context, &class)?;
    solver.x.fill(1.0);
    let mut zeta = 0.0;
    let mut rest = 0.0;
    for _ in 0..class.iterations {
        rest = solver.solve()?;
        zeta = class.shift + 1.0 / solver.dot(solver.x, solver.z)?;
        let scale = 1.0 / sqrt(solver.dot(solver.z, solver.z)?);
        solver.x.fill_from(solver.z.iter().map(|z| scale * z));
    }
    if context.vcpu() != 0 {
        return Ok(values(&[]));
    }
    Failure::check_near(Check::CgZeta, class.zeta, zeta, TOLERANCE)?;
    Ok(values(&[zeta.to_bits(), rest.to_bits()]))
}
