//! Arrays of doubles in guest memory, each from a page of its own.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::abi;
use crate::memory::Memory;

/// Doubles that several vCPUs may read and write at once.
///
/// An access is one plain load or store; who may write where and when is up to the program's
/// barriers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Floats<'m>(&'m [AtomicU64]);

impl<'m> Floats<'m> {
    /// `count` doubles from `address`.
    pub(super) fn at(memory: Memory<'m>, address: u64, count: usize) -> Self {
        Self(memory.words(address, count as u64))
    }

    /// How many there are.
    pub(super) const fn len(self) -> usize {
        self.0.len()
    }

    /// Some of them.
    pub(super) fn part(self, places: Range<usize>) -> Self {
        Self(&self.0[places])
    }

    /// One of them.
    pub(super) fn get(self, place: usize) -> f64 {
        f64::from_bits(self.0[place].load(Relaxed))
    }

    /// Changes one of them.
    pub(super) fn set(self, place: usize, value: f64) {
        self.0[place].store(value.to_bits(), Relaxed);
    }

    /// All of them, in order.
    pub(super) fn iter(self) -> impl Iterator<Item = f64> + 'm {
        self.0.iter().map(|word| f64::from_bits(word.load(Relaxed)))
    }

    /// Makes all of them `value`.
    pub(super) fn fill(self, value: f64) {
        self.fill_from(core::iter::repeat(value));
    }

    /// Replaces them, from the first on, by `values`, as far as both go.
    pub(super) fn fill_from(self, values: impl Iterator<Item = f64>) {
        for (word, value) in self.0.iter().zip(values) {
            word.store(value.to_bits(), Relaxed);
        }
    }
}

/// Addresses of arrays of so many bytes that lie one after the other in the programs' memory, and
/// where they end. Each starts a page.
pub(super) fn addresses<const N: usize>(bytes: [u64; N]) -> ([u64; N], u64) {
    let mut next = abi::DATA;
    let addresses = bytes.map(|bytes| {
        let address = next;
        next += bytes.next_multiple_of(abi::PAGE);
        address
    });
    (addresses, next)
}
