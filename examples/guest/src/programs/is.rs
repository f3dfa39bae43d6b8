//! Bucket sort of integer keys after NAS IS, with its keys, its published ranks and a full check.
//!
//! Keys travel as in the benchmark's distributed form: every vCPU orders its own keys by bucket in
//! its own part of memory, and every vCPU then fetches the buckets it owns from all others. No
//! page is written by two vCPUs at once, but where two parts meet.

use core::ops::Range;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::is_class::{Class, PROBES, checksum};
use super::outcome::{Check, Failure, Values, values};
use super::{Context, share_of};
use crate::abi;
use crate::machine::Machine;

pub use super::is_class::class;

/// Buckets; the counts of one vCPU are one page.
const BUCKETS: usize = 1024;
/// Keys of one page.
const GRAIN: u64 = abi::PAGE / 4;
/// Most iterations: the keys that change with them must not meet.
const ITERATIONS_MAX: u64 = 10;

/// The sort's arrays in guest memory.
struct Arrays<'m> {
    class: &'m Class,
    vcpus: u32,
    keys: &'m [AtomicU32],
    bucketed: &'m [AtomicU32],
    sorted: &'m [AtomicU32],
    /// For each key value, how many keys are not above it.
    ranks: &'m [AtomicU32],
    /// For each vCPU, how many of its keys are in each bucket.
    counts: &'m [AtomicU32],
}

/// What a vCPU ranks: its buckets, and how many keys lie below them.
struct Owned {
    buckets: Range<usize>,
    below: u32,
}

/// Lengths of the sort's arrays, in the order of their places in memory.
fn lengths(class: &Class, vcpus: u32) -> [u64; 5] {
    [
        class.keys,
        class.keys,
        class.keys,
        class.max_key,
        u64::from(vcpus) * BUCKETS as u64,
    ]
}

/// Bytes of memory the sort takes; 0 for a class that does not exist.
#[must_use]
pub fn memory(logarithm: u64, vcpus: u32) -> u64 {
    class(logarithm).map_or(0, |class| lengths(&class, vcpus).iter().sum::<u64>() * 4)
}

impl<'m> Arrays<'m> {
    fn new<M: Machine>(context: &Context<'m, M>, class: &'m Class) -> Result<Self, Failure> {
        let vcpus = context.vcpus();
        let lengths = lengths(class, vcpus);
        let end = abi::DATA + lengths.iter().sum::<u64>() * 4;
        context.need_memory(end)?;
        let mut next = abi::DATA;
        let [keys, bucketed, sorted, ranks, counts] = lengths.map(|length| {
            let array = context.memory().halves(next, length);
            next += length * 4;
            array
        });
        Ok(Self {
            class,
            vcpus,
            keys,
            bucketed,
            sorted,
            ranks,
            counts,
        })
    }

    fn share(&self, vcpu: u32) -> Range<usize> {
        let share = share_of(self.class.keys, GRAIN, vcpu, self.vcpus);
        share.start as usize..share.end as usize
    }

    fn bucket(&self, key: u32) -> usize {
        (u64::from(key) * BUCKETS as u64 / self.class.max_key) as usize
    }

    fn counts_of(&self, vcpu: u32) -> &'m [AtomicU32] {
        &self.counts[vcpu as usize * BUCKETS..][..BUCKETS]
    }

    /// Orders a vCPU's keys by bucket and publishes its counts.
    fn spread(&self, vcpu: u32) {
        let share = self.share(vcpu);
        let mut next = [0u32; BUCKETS];
        for key in &self.keys[share.clone()] {
            next[self.bucket(key.load(Relaxed))] += 1;
        }
        let mut start = 0;
        for (slot, published) in next.iter_mut().zip(self.counts_of(vcpu)) {
            published.store(*slot, Relaxed);
            start += core::mem::replace(slot, start);
        }
        let target = &self.bucketed[share.clone()];
        for key in &self.keys[share] {
            let key = key.load(Relaxed);
            let slot = &mut next[self.bucket(key)];
            target[*slot as usize].store(key, Relaxed);
            *slot += 1;
        }
    }

    /// The buckets a vCPU owns: those that start in its even share of all keys.
    fn owned(&self, vcpu: u32) -> Owned {
        let mut totals = [0u32; BUCKETS];
        for source in 0..self.vcpus {
            for (total, count) in totals.iter_mut().zip(self.counts_of(source)) {
                *total += count.load(Relaxed);
            }
        }
        let share = share_of(self.class.keys, 1, vcpu, self.vcpus);
        let mut owned = Owned {
            buckets: 0..0,
            below: 0,
        };
        let mut start = 0;
        for (bucket, total) in totals.into_iter().enumerate() {
            if u64::from(start) < share.start {
                owned.buckets = bucket + 1..bucket + 1;
                owned.below = start + total;
            } else if u64::from(start) < share.end {
                owned.buckets.end = bucket + 1;
            }
            start += total;
        }
        owned
    }

    /// All keys of the owned buckets, from wherever they are.
    fn each(&self, owned: &Owned, mut visit: impl FnMut(u32)) {
        for source in 0..self.vcpus {
            let counts = self.counts_of(source);
            let sum = |counts: &[AtomicU32]| counts.iter().map(|c| c.load(Relaxed)).sum::<u32>();
            let start = sum(&counts[..owned.buckets.start]) as usize;
            let length = sum(&counts[owned.buckets.clone()]) as usize;
            for key in &self.bucketed[self.share(source)][start..start + length] {
                visit(key.load(Relaxed));
            }
        }
    }

    /// Fills in the ranks of the key values of the owned buckets.
    fn rank(&self, owned: &Owned) {
        let width = (self.class.max_key as usize) / BUCKETS;
        let ranks = &self.ranks[owned.buckets.start * width..owned.buckets.end * width];
        for rank in ranks {
            rank.store(0, Relaxed);
        }
        self.each(owned, |key| add(&self.ranks[key as usize], 1));
        let mut below = owned.below;
        for rank in ranks {
            below += rank.load(Relaxed);
            rank.store(below, Relaxed);
        }
    }

    /// Puts the keys of the owned buckets in their places; uses up the ranks.
    fn place(&self, owned: &Owned) {
        self.each(owned, |key| {
            let rank = &self.ranks[key as usize];
            let place = rank.load(Relaxed) - 1;
            rank.store(place, Relaxed);
            self.sorted[place as usize].store(key, Relaxed);
        });
    }

    /// How many of the published ranks this iteration got right.
    fn right_ranks(&self, iteration: u64) -> u64 {
        let right = |probe: &usize| {
            let key = self.keys[self.class.probes[*probe] as usize].load(Relaxed) as usize;
            let below = key
                .checked_sub(1)
                .map_or(0, |below| self.ranks[below].load(Relaxed));
            u64::from(below) == self.class.rank(*probe, iteration)
        };
        (0..PROBES).filter(right).count() as u64
    }
}

/// Adds to a word that only this vCPU writes at this time.
fn add(word: &AtomicU32, amount: u32) {
    word.store(word.load(Relaxed) + amount, Relaxed);
}

#[inline(never)]
pub(super) fn run<M: Machine>(
    context: &Context<'_, M>,
    &[logarithm, iterations, ..]: &[u64; 4],
) -> Result<Values, Failure> {
    let Some(class) = class(logarithm) else {
        return Err(Failure::Parameter {
            index: 0,
            value: logarithm,
        });
    };
    if !(1..=ITERATIONS_MAX).contains(&iterations) {
        return Err(Failure::Parameter {
            index: 1,
            value: iterations,
        });
    }
    let arrays = Arrays::new(context, &class)?;
    let share = arrays.share(context.vcpu());
    let keys = class.generate(share.start as u64..share.end as u64);
    for (place, key) in arrays.keys[share.clone()].iter().zip(keys) {
        place.store(key, Relaxed);
    }
    context.barrier()?;

    let mut right = 0;
    let mut owned = Owned {
        buckets: 0..0,
        below: 0,
    };
    for iteration in 1..=iterations {
        for (place, key) in class.replaced(iteration) {
            if share.contains(&(place as usize)) {
                arrays.keys[place as usize].store(key, Relaxed);
            }
        }
        arrays.spread(context.vcpu());
        context.barrier()?;
        owned = arrays.owned(context.vcpu());
        arrays.rank(&owned);
        context.barrier()?;
        if context.vcpu() == 0 {
            right += arrays.right_ranks(iteration);
        }
    }
    context.barrier()?;
    arrays.place(&owned);
    context.barrier()?;

    let sorted = &arrays.sorted[share.start.saturating_sub(1)..share.end];
    let unsorted = sorted
        .windows(2)
        .filter(|two| two[0].load(Relaxed) > two[1].load(Relaxed));
    let unsorted = unsorted.count() as u64;
    let own = checksum(arrays.sorted[share].iter().map(|key| key.load(Relaxed)));
    context.mail(context.vcpu(), 0).store(own, SeqCst);
    context.barrier()?;
    Failure::check(Check::IsUnsorted, 0, unsorted)?;
    if context.vcpu() != 0 {
        return Ok(values(&[]));
    }
    Failure::check(Check::IsPartial, iterations * PROBES as u64, right)?;
    let sums = (0..context.vcpus()).map(|vcpu| context.mail(vcpu, 0).load(SeqCst));
    let sum = sums.fold(0, u64::wrapping_add);
    Failure::check(Check::IsKeys, class.checksum(iterations), sum)?;
    Ok(values(&[right, class.keys, sum]))
}
