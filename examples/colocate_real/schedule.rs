//! What hosts' own tenants leave, as time goes on.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::ValueEnum;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::cgroup::HOSTS;

/// How often quotas change at most, and a policy decides.
pub(crate) const SLOT: Duration = Duration::from_millis(500);
/// Slots of a second.
pub(crate) const A_SECOND: u32 = 2;
/// What is left while a tenant needs little, in tenths of a processor, and while it needs
/// much.
const CALM: (u32, u32) = (7, 10);
const BUSY: (u32, u32) = (1, 3);

/// When hosts' tenants need much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tenants {
    /// One while the other needs little: there is always room somewhere.
    ByTurns,
    /// Each without regard to the other: half of the time both are alike, and no placement is better than another.
    AnyTime,
}

impl Tenants {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::ByTurns => "tenants that need much by turns",
            Self::AnyTime => "tenants that need much at any time",
        }
    }
}

/// How far a tenant is through with its first turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    Afresh,
    HalfThrough,
}

/// What is left of each host, slot by slot, in hundredths of a processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule(Vec<[u32; HOSTS]>);

impl Schedule {
    /// So many slots. Tenants stay as they are for so many, a quarter more or less. The same seed leads
    /// to the same schedule. When it begins the first tenant needs little and the other needs much, and that
    /// one is half through with it.
    pub(crate) fn new(seed: u64, tenants: Tenants, slots: u32, wave: u32) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let of_second = turns(&mut rng, slots, wave, Begins::HalfThrough);
        let of_first = match tenants {
            Tenants::ByTurns => of_second.clone(),
            Tenants::AnyTime => turns(&mut rng, slots, wave, Begins::Afresh),
        };
        let mut shares = |turns: Vec<u32>, host: usize| {
            let mut shares = Vec::new();
            for (turn, stays) in turns.into_iter().enumerate() {
                let is_busy = (turn + host) % 2 == 1;
                let (least, most) = if is_busy { BUSY } else { CALM };
                let share = rng.random_range(least..=most) * 10;
                shares.extend((0..stays).map(|_| share));
            }
            shares
        };
        let [first, second] = [shares(of_first, 0), shares(of_second, 1)];
        let both = first.into_iter().zip(second).map(|(a, b)| [a, b]);
        Self(both.take(slots as usize).collect())
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

/// How many slots each turn of a tenant takes, for so many in all at least.
fn turns(rng: &mut SmallRng, slots: u32, wave: u32, begins: Begins) -> Vec<u32> {
    let (mut turns, mut sum) = (Vec::new(), 0);
    while sum < slots {
        let mut stays = rng.random_range(stays(wave));
        if turns.is_empty() && begins == Begins::HalfThrough {
            stays /= 2;
        }
        turns.push(stays);
        sum += stays;
    }
    turns
}

fn stays(wave: u32) -> RangeInclusive<u32> {
    (wave - wave / 4).max(2)..=(wave + wave / 4).max(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TENANTS: [Tenants; 2] = [Tenants::ByTurns, Tenants::AnyTime];

    proptest! {
        #[test]
        fn shares_are_cut_and_restored_by_turns_and_stay_for_a_while(
            seed in any::<u64>(), tenants in prop::sample::select(&TENANTS), wave in 1..40_u32,
        ) {
            let schedule = Schedule::new(seed, tenants, 400, wave);
            prop_assert_eq!(schedule.slots().len(), 400);
            prop_assert_eq!(&schedule, &Schedule::new(seed, tenants, 400, wave));
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
        fn by_turns_there_is_always_one_host_with_room(seed in any::<u64>(), wave in 1..40_u32) {
            for &[a, b] in Schedule::new(seed, Tenants::ByTurns, 400, wave).slots() {
                prop_assert!(a.max(b) >= CALM.0 * 10 && a.min(b) <= BUSY.1 * 10, "{a} {b}");
            }
        }

        #[test]
        fn no_more_can_be_done_than_is_wanted_or_left(
            seed in any::<u64>(), tenants in prop::sample::select(&TENANTS), wants in 1..300_u32,
        ) {
            let schedule = Schedule::new(seed, tenants, 100, 15);
            let pooled = schedule.pooled(wants);
            prop_assert!(pooled > 0.0 && pooled <= 1.0 + 1e-9);
            prop_assert!(wants > 20 || pooled > 1.0 - 1e-9, "both have 10 at least");
            prop_assert!(schedule.apart(wants) <= pooled + 1e-9);
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
