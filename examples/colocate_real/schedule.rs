//! What hosts' own tenants leave, as time goes on.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::cgroup::HOSTS;

/// How often quotas change at most, and a policy decides.
pub(crate) const SLOT: Duration = Duration::from_millis(500);
/// Slots of a second.
pub(crate) const A_SECOND: u32 = 2;
/// What is left while a tenant needs little, in tenths of a processor, and while it needs
/// much.
const CALM: (u32, u32) = (7, 10);
const BUSY: (u32, u32) = (1, 3);

/// What is left of each host, slot by slot, in hundredths of a processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule(Vec<[u32; HOSTS]>);

impl Schedule {
    /// So many slots. Tenants stay as they are for so many, a quarter more or less. The same seed leads
    /// to the same schedule. When it begins one tenant needs little and the other needs much, and that
    /// one is half through with it.
    pub(crate) fn new(seed: u64, slots: u32, wave: u32) -> Self {
        let slots = slots as usize;
        let mut rng = SmallRng::seed_from_u64(seed);
        let hosts = [0, 1].map(|host| {
            let (mut shares, mut is_busy) = (Vec::new(), host == 1);
            while shares.len() < slots {
                let mut stays = rng.random_range(stays(wave));
                if shares.is_empty() && host == 1 {
                    stays /= 2;
                }
                let (least, most) = if is_busy { BUSY } else { CALM };
                let share = rng.random_range(least..=most) * 10;
                shares.extend((0..stays).map(|_| share));
                is_busy = !is_busy;
            }
            shares
        });
        let [first, second] = hosts;
        Self(
            first
                .into_iter()
                .zip(second)
                .map(|(a, b)| [a, b])
                .take(slots)
                .collect(),
        )
    }

    pub(crate) fn slots(&self) -> &[[u32; HOSTS]] {
        &self.0
    }

    /// What could be done at best of work that wants so many hundredths of a processor in all, if both
    /// hosts were one: the part of what is wanted.
    pub(crate) fn pooled(&self, wants: u32) -> f64 {
        let done: u32 = self
            .0
            .iter()
            .map(|slot| slot.iter().sum::<u32>().min(wants))
            .sum();
        f64::from(done) / f64::from(wants.max(1)) / self.0.len().max(1) as f64
    }

    /// The same if nothing leaves its host, on each of which half of it is wanted.
    pub(crate) fn apart(&self, wants: u32) -> f64 {
        let each = f64::from(wants.max(1)) / HOSTS as f64;
        let shares = self.0.iter().flatten().map(|&share| f64::from(share));
        let done: f64 = shares.map(|share| share.min(each)).sum();
        done / each / (HOSTS * self.0.len().max(1)) as f64
    }

    /// When a host's share changes and to what: `0 s 100 %, 4.5 s 30 %`.
    pub(crate) fn text(&self, host: usize) -> String {
        let mut changes = Vec::<String>::new();
        let mut before = None;
        for (slot, shares) in self.0.iter().enumerate() {
            if before.replace(shares[host]) != Some(shares[host]) {
                let seconds = slot as f64 * SLOT.as_secs_f64();
                changes.push(format!("{seconds} s {} %", shares[host]));
            }
        }
        changes.join(", ")
    }
}

fn stays(wave: u32) -> RangeInclusive<u32> {
    (wave - wave / 4).max(2)..=(wave + wave / 4).max(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_are_cut_and_restored_by_turns_and_stay_for_a_while(
            seed in any::<u64>(), wave in 1..40_u32,
        ) {
            let schedule = Schedule::new(seed, 400, wave);
            prop_assert_eq!(schedule.slots().len(), 400);
            prop_assert_eq!(&schedule, &Schedule::new(seed, 400, wave));
            for host in 0..HOSTS {
                let shares: Vec<_> = schedule.slots().iter().map(|slot| slot[host]).collect();
                let runs: Vec<_> = shares.chunk_by(|a, b| a == b).collect();
                prop_assert!(runs.len() >= 400 / *stays(wave).end() as usize);
                for (at, run) in runs.iter().enumerate() {
                    let is_busy = (at + host) % 2 == 1;
                    let (least, most) = if is_busy { BUSY } else { CALM };
                    prop_assert!((least * 10..=most * 10).contains(&run[0]));
                    let is_whole = at > 0 && at + 1 < runs.len();
                    let range = stays(wave);
                    let length = u32::try_from(run.len()).unwrap();
                    prop_assert!(length <= *range.end() && (!is_whole || range.contains(&length)));
                }
            }
        }

        #[test]
        fn no_more_can_be_done_than_is_wanted_or_left(seed in any::<u64>(), wants in 1..300_u32) {
            let pooled = Schedule::new(seed, 100, 15).pooled(wants);
            prop_assert!(pooled > 0.0 && pooled <= 1.0 + 1e-9);
            prop_assert!(wants > 20 || pooled > 1.0 - 1e-9, "both have 10 at least");
            prop_assert!(Schedule::new(seed, 100, 15).apart(wants) <= pooled + 1e-9);
        }
    }

    #[test]
    fn a_schedule_is_told_by_its_changes() {
        let schedule = Schedule(vec![[100, 20], [100, 20], [30, 20]]);
        assert_eq!(schedule.text(0), "0 s 100 %, 1 s 30 %");
        assert_eq!(schedule.text(1), "0 s 20 %");
        assert!((schedule.pooled(100) - (100.0 + 100.0 + 50.0) / 300.0).abs() < 1e-9);
        assert!((schedule.apart(100) - (70.0 + 70.0 + 50.0) / 300.0).abs() < 1e-9);
    }
}
