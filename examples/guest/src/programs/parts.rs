//! Work in a fixed number of parts, so that results do not depend on who does which.
//!
//! Sums of doubles depend on their order. Here every sum is taken over [`PARTS`] parts of the
//! items, one after the other, and the sums of the parts are added in their order, however the
//! parts are spread over vCPUs: each number of vCPUs gives the same bits.

use core::cell::Cell;
use core::ops::Range;
use core::sync::atomic::Ordering::SeqCst;

use super::outcome::Failure;
use super::{Context, share_of};
use crate::machine::Machine;

/// Parts of everything. Two sums of each fit a mailbox. With more vCPUs than that some have none.
const PARTS: u32 = 240;

/// One vCPU's parts.
#[derive(Debug)]
pub(super) struct Parts<'c, 'm, M> {
    context: &'c Context<'m, M>,
    sums: Cell<u64>,
}

/// What a vCPU has of `items`.
pub(super) fn owned(items: u64, vcpu: u32, vcpus: u32) -> Range<usize> {
    let parts = share_of(PARTS.into(), 1, vcpu, vcpus);
    let bound = |part: u64| (items * part / u64::from(PARTS)) as usize;
    bound(parts.start)..bound(parts.end)
}

/// The vCPU that has an item.
pub(super) fn owner(items: u64, item: u64, vcpus: u32) -> u32 {
    // The last whose share does not start after what is asked for.
    let part = ((item + 1) * u64::from(PARTS) - 1) / items;
    (((part + 1) * u64::from(vcpus) - 1) / u64::from(PARTS)) as u32
}

impl<'c, 'm, M: Machine> Parts<'c, 'm, M> {
    /// This vCPU's parts. It uses the programs' words of the mailbox from now on.
    pub(super) fn new(context: &'c Context<'m, M>) -> Self {
        let sums = Cell::new(0);
        Self { context, sums }
    }

    /// What this vCPU has of `items`.
    pub(super) fn owned(&self, items: u64) -> Range<usize> {
        owned(items, self.context.vcpu(), self.context.vcpus())
    }

    /// The sum over all items, given the sum over those of a part; a barrier.
    ///
    /// # Errors
    /// As [`Context::wait`].
    pub(super) fn sum(&self, items: u64, of: impl Fn(Range<usize>) -> f64) -> Result<f64, Failure> {
        // Two sets of words take turns: whoever writes the first again has passed the barrier of
        // the second, which nobody reaches before it has read the first.
        let turn = self.sums.get();
        self.sums.set(turn + 1);
        let word = |vcpu, part: u64| {
            let set = turn % 2 * u64::from(PARTS);
            self.context.mail(vcpu, set + part)
        };
        let vcpus = self.context.vcpus();
        let parts = |vcpu| share_of(PARTS.into(), 1, vcpu, vcpus);
        let own = self.context.vcpu();
        for part in parts(own) {
            let share = share_of(items, 1, part as u32, PARTS);
            let sum = of(share.start as usize..share.end as usize);
            word(own, part).store(sum.to_bits(), SeqCst);
        }
        self.context.barrier()?;
        let all = (0..vcpus).flat_map(|vcpu| parts(vcpu).map(move |part| (vcpu, part)));
        Ok(all.fold(0.0, |sum, (vcpu, part)| {
            sum + f64::from_bits(word(vcpu, part).load(SeqCst))
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_item_has_one_owner(items in 1u64..3000, vcpus in 1u32..255) {
            let mut next = 0;
            for vcpu in 0..vcpus {
                let range = owned(items, vcpu, vcpus);
                prop_assert_eq!(range.start, next);
                next = range.end;
                for item in range {
                    prop_assert_eq!(owner(items, item as u64, vcpus), vcpu);
                }
            }
            prop_assert_eq!(next as u64, items);
        }

        #[test]
        fn parts_are_never_split_between_vcpus(items in 1u64..3000, vcpus in 1u32..255) {
            for part in 0..PARTS {
                let share = share_of(items, 1, part, PARTS);
                let owners = share.map(|item| owner(items, item, vcpus));
                let owners: std::collections::HashSet<_> = owners.collect();
                prop_assert!(owners.len() <= 1);
            }
        }
    }
}
