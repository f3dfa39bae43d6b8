//! Fourier transforms of one line of points: radix 2, in place.

use core::ops::{Add, Mul, Sub};

use super::class::EDGE_MAX;
use crate::programs::series::root_of_unity;

/// A complex number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Complex {
    pub(super) re: f64,
    pub(super) im: f64,
}

impl Complex {
    pub(super) const ZERO: Self = Self { re: 0.0, im: 0.0 };

    /// This times a real number.
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self {
            re: self.re * factor,
            im: self.im * factor,
        }
    }
}

impl Add for Complex {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            re: self.re + other.re,
            im: self.im + other.im,
        }
    }
}

impl Sub for Complex {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            re: self.re - other.re,
            im: self.im - other.im,
        }
    }
}

impl Mul for Complex {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }
}

/// Which way a transform goes. Back after forth gives the points times their count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To frequencies, by negative powers of the root of unity.
    Forth,
    /// To points, by positive ones.
    Back,
}

/// The powers of the root of unity for one direction, for lines of up to [`EDGE_MAX`] points.
#[derive(Debug)]
pub(super) struct Transform {
    roots: [Complex; EDGE_MAX / 2],
}

impl Transform {
    pub(super) fn new(direction: Direction) -> Self {
        let sign = match direction {
            Direction::Forth => -1.0,
            Direction::Back => 1.0,
        };
        let root = |power: usize| {
            let (re, im) = root_of_unity(power as u32, EDGE_MAX as u32);
            Complex { re, im: sign * im }
        };
        Self {
            roots: core::array::from_fn(root),
        }
    }

    /// Transforms points that `reversed` put in their places.
    ///
    /// The count of points is a power of two, [`EDGE_MAX`] at most.
    pub(super) fn transform(&self, line: &mut [Complex]) {
        let mut half = 1;
        while half < line.len() {
            let roots = self.roots.iter().step_by(self.roots.len() / half);
            for both in line.chunks_exact_mut(2 * half) {
                let (low, high) = both.split_at_mut(half);
                for ((low, high), root) in low.iter_mut().zip(high).zip(roots.clone()) {
                    let turned = *root * *high;
                    (*low, *high) = (*low + turned, *low - turned);
                }
            }
            half *= 2;
        }
    }
}

/// The place of a point in a line before the transform: the bits of its number in reverse.
pub(super) const fn reversed(point: usize, points: usize) -> usize {
    if points == 1 {
        return point;
    }
    point.reverse_bits() >> (usize::BITS - points.ilog2())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn transformed(points: &[Complex], direction: Direction) -> Vec<Complex> {
        let mut line = vec![Complex::ZERO; points.len()];
        for (point, value) in points.iter().enumerate() {
            line[reversed(point, points.len())] = *value;
        }
        Transform::new(direction).transform(&mut line);
        line
    }

    /// The definition, term by term.
    fn defined(points: &[Complex], sign: f64) -> Vec<Complex> {
        let count = points.len();
        let frequency = |frequency: usize| {
            let terms = points.iter().enumerate().map(|(point, value)| {
                let turn = (frequency * point % count) as f64 / count as f64;
                let (im, re) = (sign * turn * core::f64::consts::TAU).sin_cos();
                Complex { re, im } * *value
            });
            terms.fold(Complex::ZERO, Complex::add)
        };
        (0..count).map(frequency).collect()
    }

    fn assert_near(found: &[Complex], expected: &[Complex]) {
        for (found, expected) in found.iter().zip(expected) {
            let apart = *found - *expected;
            assert!(apart.re.hypot(apart.im) < 1e-11, "{found:?} {expected:?}");
        }
    }

    fn lines() -> impl Strategy<Value = Vec<Complex>> {
        (0u32..=8).prop_flat_map(|logarithm| {
            let point = (-1.0..1.0, -1.0..1.0).prop_map(|(re, im)| Complex { re, im });
            prop::collection::vec(point, 1 << logarithm)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn transforms_are_what_they_are_defined_as(points in lines()) {
            assert_near(&transformed(&points, Direction::Forth), &defined(&points, -1.0));
            assert_near(&transformed(&points, Direction::Back), &defined(&points, 1.0));
        }

        #[test]
        fn back_after_forth_gives_the_points_again(points in lines()) {
            let there = transformed(&points, Direction::Forth);
            let back = transformed(&there, Direction::Back);
            let count = points.len() as f64;
            let back: Vec<_> = back.iter().map(|point| point.scaled(1.0 / count)).collect();
            assert_near(&back, &points);
        }
    }
}
