//! Shares of a whole, some given and the rest even.

/// The shares that are given do not fit the whole: they sum up to this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Misfit(pub(crate) u64);

/// Shares of `total`: `given` where there is one, and what these leave over in even parts to the
/// others, the first of which get what does not divide.
pub(crate) fn split(total: u64, given: &[Option<u64>]) -> Result<Vec<u64>, Misfit> {
    let sum = given
        .iter()
        .flatten()
        .fold(0_u64, |sum, &share| sum.saturating_add(share));
    let open = given.iter().filter(|share| share.is_none()).count() as u64;
    let rest = total.checked_sub(sum).ok_or(Misfit(sum))?;
    if open == 0 && rest > 0 {
        return Err(Misfit(sum));
    }
    let mut position = 0;
    let share = |given: &Option<u64>| {
        given.unwrap_or_else(|| {
            position += 1;
            rest / open + u64::from(position <= rest % open)
        })
    };
    Ok(given.iter().map(share).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_sum_up_to_the_whole_and_open_ones_differ_by_at_most_one(
            total in 0..10_000_u64,
            given in prop::collection::vec(prop::option::of(0..200_u64), 1..64),
        ) {
            let sum: u64 = given.iter().flatten().sum();
            let fits = sum == total || sum < total && given.contains(&None);
            match split(total, &given) {
                Ok(shares) => {
                    prop_assert!(fits);
                    prop_assert_eq!(shares.iter().sum::<u64>(), total);
                    let open = shares.iter().zip(&given).filter(|(_, given)| given.is_none());
                    let open: Vec<_> = open.map(|(&share, _)| share).collect();
                    prop_assert!(open.is_sorted_by(|a, b| a >= b));
                    prop_assert!(open.first().zip(open.last()).is_none_or(|(a, b)| a - b <= 1));
                    prop_assert!(shares.iter().zip(&given).all(|(s, g)| g.is_none_or(|g| g == *s)));
                }
                Err(Misfit(got)) => {
                    prop_assert!(!fits);
                    prop_assert_eq!(got, sum);
                }
            }
        }
    }

    #[test]
    fn sums_beyond_64_bits_do_not_wrap() {
        assert_eq!(split(1, &[Some(u64::MAX), Some(2)]), Err(Misfit(u64::MAX)));
    }
}
