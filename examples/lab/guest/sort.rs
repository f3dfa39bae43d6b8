//! A parallel sort.

use anyhow::ensure;

use crate::everywhere::everywhere;
use crate::options::Options;

/// Numbers that a processor sorts for each round.
const NUMBERS: u64 = 2000;

/// Every processor sorts its numbers, and all are merged.
pub(crate) fn sort(options: &Options) -> anyhow::Result<String> {
    let count = options.rounds * NUMBERS;
    let parts = everywhere(|number, _| {
        let mut state = 0x1234_5678_9abc_def1 + number as u64;
        let mut numbers: Vec<u64> = (0..count).map(|_| next(&mut state)).collect();
        let sum = numbers
            .iter()
            .fold(0_u64, |sum, number| sum.wrapping_add(*number));
        numbers.sort_unstable();
        Ok((numbers, sum))
    })?;
    let expected = parts
        .iter()
        .fold(0_u64, |sum, (_, part)| sum.wrapping_add(*part));
    let parts = parts.into_iter().map(|(numbers, _)| numbers);
    let all = parts.reduce(|a, b| merge(&a, &b)).unwrap_or_default();
    ensure!(all.is_sorted(), "the numbers are not in order");
    let sum = all
        .iter()
        .fold(0_u64, |sum, number| sum.wrapping_add(*number));
    ensure!(sum == expected, "the sum is {sum:#x}, not {expected:#x}");
    Ok(format!("{} numbers", all.len()))
}

fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn merge(mut a: &[u64], mut b: &[u64]) -> Vec<u64> {
    let mut merged = Vec::with_capacity(a.len() + b.len());
    while let (Some((first, rest)), Some((other, others))) = (a.split_first(), b.split_first()) {
        if first <= other {
            merged.push(*first);
            a = rest;
        } else {
            merged.push(*other);
            b = others;
        }
    }
    merged.extend_from_slice(a);
    merged.extend_from_slice(b);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_keeps_all_and_their_order() {
        assert_eq!(merge(&[1, 4, 9], &[2, 4]), [1, 2, 4, 4, 9]);
        assert_eq!(merge(&[], &[3]), [3]);
    }

    #[test]
    fn it_sorts() {
        sort(&Options::parse("lab.rounds=1")).unwrap();
    }
}
