//! How long something that was moved has to stay where it is.

use crate::schedule::Nanos;

/// The most that the residency grows to, in parts of the parameter.
const LONGEST_STAY: u64 = 64;
/// After so many times as long as it had to stay, its moves are forgiven.
const FORGIVEN: u64 = 8;

/// When it was moved, and how many residencies it stays: more if it was moved again soon, as TCP
/// doubles its time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Residency {
    moved: Option<Nanos>,
    stays: u64,
}

impl Residency {
    /// It was never moved.
    pub(crate) const NEW: Self = Self {
        moved: None,
        stays: 1,
    };

    /// Whether it must not be moved yet.
    pub(crate) fn lasts(&self, now: Nanos, residency: Nanos) -> bool {
        let stay = residency.0.saturating_mul(self.stays);
        self.moved.is_some_and(|moved| now.since(moved).0 < stay)
    }

    /// It was moved.
    pub(crate) fn begin(&mut self, now: Nanos, residency: Nanos) {
        let quiet = residency
            .0
            .saturating_mul(self.stays)
            .saturating_mul(FORGIVEN);
        self.stays = match self.moved {
            Some(moved) if now.since(moved).0 < quiet => (self.stays * 2).min(LONGEST_STAY),
            Some(_) | None => 1,
        };
        self.moved = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_moved_again_stays_longer_each_time_until_it_is_forgiven() {
        let mut stay = Residency::NEW;
        let (residency, mut now, mut stays) = (Nanos(1000), 0, Vec::new());
        assert!(!stay.lasts(Nanos(0), residency));
        for _ in 0..9 {
            stay.begin(Nanos(now), residency);
            let before = now;
            while stay.lasts(Nanos(now), residency) {
                now += 500;
            }
            stays.push((now - before) / 1000);
        }
        assert_eq!(stays, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        now += 64 * 8 * 1000;
        stay.begin(Nanos(now), residency);
        assert!(
            !stay.lasts(Nanos(now + 1000), residency),
            "that is long ago"
        );
    }
}
