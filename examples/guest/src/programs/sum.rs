//! A parallel sum over memory that one vCPU wrote.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::Context;
use super::outcome::{Check, Failure, Values, values};
use super::random::mix;
use crate::abi;
use crate::machine::Machine;

/// The word at `index` of the memory to sum.
#[must_use]
pub const fn word(seed: u64, index: u64) -> u64 {
    mix(seed.wrapping_mul(0x1_0000_0000).wrapping_add(index))
}

/// The sum of the words of a range of indices.
#[must_use]
pub fn expected(seed: u64, words: core::ops::Range<u64>) -> u64 {
    words.fold(0, |sum: u64, index| sum.wrapping_add(word(seed, index)))
}

pub(super) fn run<M: Machine>(
    context: &Context<'_, M>,
    &[bytes, seed, ..]: &[u64; 4],
) -> Result<Values, Failure> {
    if !bytes.is_multiple_of(abi::PAGE) {
        return Err(Failure::Parameter {
            index: 0,
            value: bytes,
        });
    }
    context.need_memory(abi::DATA.saturating_add(bytes))?;
    let words = context.memory().words(abi::DATA, bytes / 8);
    if context.vcpu() == 0 {
        for (index, place) in (0..).zip(words) {
            place.store(word(seed, index), Relaxed);
        }
    }
    context.barrier()?;
    let share = context.share(bytes / 8, abi::PAGE / 8);
    let mine = &words[share.start as usize..share.end as usize];
    let partial = mine
        .iter()
        .fold(0u64, |sum, word| sum.wrapping_add(word.load(Relaxed)));
    context.mail(context.vcpu(), 0).store(partial, SeqCst);
    context.barrier()?;
    Failure::check(Check::Sum, expected(seed, share), partial)?;
    let partials = (0..context.vcpus()).map(|vcpu| context.mail(vcpu, 0).load(SeqCst));
    Ok(values(&[partials.fold(0, u64::wrapping_add), bytes]))
}
