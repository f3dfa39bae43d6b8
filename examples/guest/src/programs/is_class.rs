//! The classes of NAS IS: sizes, and the ranks published for a few keys of each.

use core::ops::Range;

use super::random::{Nas, mix};

/// Keys whose rank is published, in each class.
pub(super) const PROBES: usize = 5;
/// The generator's first number.
const SEED: u64 = 314_159_265;

/// One class.
#[derive(Debug)]
pub struct Class {
    /// Keys to sort.
    pub keys: u64,
    /// Every key is below.
    pub max_key: u64,
    /// Places of the keys whose rank is published.
    pub(super) probes: [u64; PROBES],
    /// The rank of each of them, before the iteration's number comes in.
    ranks: [u64; PROBES],
    /// How many of the ranks go up with the iterations; the others go down.
    rising: usize,
    /// What is taken off the iteration's number in ranks that go up, and in those that go down.
    late: (u64, u64),
}

/// The class with two to the power of `logarithm` keys: 16 is S, 20 is W, 23 is A.
#[must_use]
pub const fn class(logarithm: u64) -> Option<Class> {
    match logarithm {
        16 => Some(Class {
            keys: 1 << 16,
            max_key: 1 << 11,
            probes: [48_427, 17_148, 23_627, 62_548, 4_431],
            ranks: [0, 18, 346, 64_917, 65_463],
            rising: 3,
            late: (0, 0),
        }),
        20 => Some(Class {
            keys: 1 << 20,
            max_key: 1 << 16,
            probes: [357_773, 934_767, 875_723, 898_999, 404_505],
            ranks: [1_249, 11_698, 1_039_987, 1_043_896, 1_048_018],
            rising: 2,
            late: (2, 0),
        }),
        23 => Some(Class {
            keys: 1 << 23,
            max_key: 1 << 19,
            probes: [2_112_377, 662_041, 5_336_171, 3_642_833, 4_250_760],
            ranks: [104, 17_523, 123_928, 8_288_932, 8_388_264],
            rising: 3,
            late: (1, 1),
        }),
        _ => None,
    }
}

impl Class {
    /// The published rank of a probe in an iteration, counted from 1.
    pub(super) fn rank(&self, probe: usize, iteration: u64) -> u64 {
        if probe < self.rising {
            (self.ranks[probe] + iteration).wrapping_sub(self.late.0)
        } else {
            self.ranks[probe] - (iteration - self.late.1)
        }
    }

    /// The generated keys at a range of places.
    pub(super) fn generate(&self, places: Range<u64>) -> impl Iterator<Item = u32> {
        let mut random = Nas::after(SEED, 4 * places.start);
        // A quarter of `max_key` times the sum, over 2^46; the product need not fit 64 bits.
        let shift = 46 - (self.max_key / 4).ilog2();
        places.map(move |_| {
            let sum = random.next() + random.next() + random.next() + random.next();
            // Below `max_key`, which has at most 20 bits.
            u32::try_from(sum >> shift).unwrap_or(u32::MAX)
        })
    }

    /// What the benchmark puts at places 0 and up, and 10 and up, as iterations go by.
    pub(super) fn replaced(&self, iteration: u64) -> [(u64, u32); 2] {
        let key = |key| u32::try_from(key).unwrap_or(u32::MAX);
        [
            (iteration, key(iteration)),
            (iteration + 10, key(self.max_key - iteration)),
        ]
    }

    /// Checksum of the keys that are sorted after `iterations`, whatever their order.
    #[must_use]
    pub fn checksum(&self, iterations: u64) -> u64 {
        let replaced = |place: u64, key: u32| {
            let mut writes = (1..=iterations).flat_map(|iteration| self.replaced(iteration));
            writes
                .rfind(|(at, _)| *at == place)
                .map_or(key, |(_, key)| key)
        };
        let head = (0..32)
            .zip(self.generate(0..32))
            .map(|(place, key)| replaced(place, key));
        checksum(head.chain(self.generate(32..self.keys)))
    }
}

/// Checksum of keys that does not depend on their order.
pub(super) fn checksum(keys: impl Iterator<Item = u32>) -> u64 {
    keys.fold(0, |sum, key| sum.wrapping_add(mix(u64::from(key))))
}
