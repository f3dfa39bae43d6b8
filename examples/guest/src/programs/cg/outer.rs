//! The sparse vectors whose outer products make up the matrix.

use super::class::{Class, ELEMENTS_MAX};
use crate::programs::float::ln;
use crate::programs::random::Nas;
use crate::programs::series::exp;

/// The generator's first number.
const SEED: u64 = 314_159_265;
/// Smallest weight, as the weights fall from 1: the matrix's condition number is about its inverse.
pub(super) const SMALLEST: f64 = 0.1;
/// The element of each vector at its own number.
const OWN: f64 = 0.5;

/// A sparse vector, and its weight among all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outer {
    /// Which of them it is.
    pub(super) number: u32,
    pub(super) weight: f64,
    len: usize,
    elements: [(u32, f64); ELEMENTS_MAX + 1],
}

impl Outer {
    /// Places and values.
    pub(super) fn elements(&self) -> &[(u32, f64)] {
        &self.elements[..self.len]
    }

    fn push(&mut self, place: u32, value: f64) {
        self.elements[self.len] = (place, value);
        self.len += 1;
    }

    fn find(&self, place: u32) -> Option<usize> {
        self.elements().iter().position(|(at, _)| *at == place)
    }
}

/// All vectors in their order. Everyone computes the same: how many numbers the generator gives for
/// one is known only when it is done.
pub(super) fn outers(class: &Class) -> impl Iterator<Item = Outer> {
    // The benchmark draws one number before it makes the matrix.
    let mut random = Nas::after(SEED, 1);
    let class = *class;
    let ratio = exp(ln(SMALLEST) / class.rows as f64);
    let mut weight = 1.0;
    (0..class.rows as u32).map(move |number| {
        let mut outer = Outer {
            number,
            weight,
            len: 0,
            elements: [(0, 0.0); ELEMENTS_MAX + 1],
        };
        weight *= ratio;
        while outer.len < class.elements {
            let value = random.next_fraction();
            let place = place(&mut random, &class);
            if u64::from(place) < class.rows && outer.find(place).is_none() {
                outer.push(place, value);
            }
        }
        match outer.find(number) {
            Some(own) => outer.elements[own].1 = OWN,
            None => outer.push(number, OWN),
        }
        outer
    })
}

/// A place in a vector as long as the next power of two.
fn place(random: &mut Nas, class: &Class) -> u32 {
    let length = class.rows.next_power_of_two();
    // Below 2^14, as the longest vector's length.
    ((random.next() * length) >> 46) as u32
}
