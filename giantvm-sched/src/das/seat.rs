//! Where a thread is, how long it has to stay, and how much of a processor it needs.

use giantvm_core::NodeId;

use super::decay::{Decay, Fading};
use crate::schedule::Nanos;

/// The most that the residency grows to, in parts of the parameter.
const LONGEST_STAY: u64 = 64;
/// After so many times as long as a thread had to stay, its moves are forgiven.
const FORGIVEN: u64 = 8;

#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) node: NodeId,
    /// When it was moved last.
    moved: Option<Nanos>,
    /// How many residencies it stays: more for those that were moved again soon.
    stays: u64,
    /// The time that it could run, of late.
    runnable: Fading,
    is_runnable: bool,
    counted: Nanos,
    faded: u64,
}

impl Seat {
    /// A thread that appears. It is taken to need a processor until it is known better, as Linux
    /// does.
    pub(super) fn new(now: Nanos, step: u64, node: NodeId, decay: Decay, period: Nanos) -> Self {
        Self {
            node,
            moved: None,
            stays: 1,
            runnable: Fading::of(decay.steady(period.0)),
            is_runnable: true,
            counted: now,
            faded: step,
        }
    }

    /// Counts the time up to `now`, and says whether it can run from then on.
    pub(super) fn count(&mut self, now: Nanos, step: u64, decay: Decay, period: Nanos) {
        let steps = step.saturating_sub(self.faded);
        if steps > 0 {
            self.runnable.fade(decay.after(steps));
            self.faded = step;
        }
        if self.is_runnable {
            self.runnable.add(now.since(self.counted).0);
            // Whole steps that no one looked at count as one long one: that is too much.
            let most = decay.steady(period.0);
            self.runnable = Fading::of(self.runnable.sum().min(most));
        }
        self.counted = self.counted.max(now);
    }

    pub(super) fn set_runnable(&mut self, is_runnable: bool) {
        self.is_runnable = is_runnable;
    }

    /// What it needs of a processor, in thousandths.
    pub(super) fn demand(&self, decay: Decay, period: Nanos) -> u64 {
        let runnable = self.runnable.per_step(decay);
        let milli = runnable.saturating_mul(1000).saturating_add(period.0 / 2) / period.0;
        milli.min(1000)
    }

    /// Whether it must not be moved yet.
    pub(super) fn stays(&self, now: Nanos, residency: Nanos) -> bool {
        let stay = residency.0.saturating_mul(self.stays);
        self.moved.is_some_and(|moved| now.since(moved).0 < stay)
    }

    /// It was moved by plan.
    pub(super) fn moves(&mut self, now: Nanos, to: NodeId, residency: Nanos) {
        let quiet = residency
            .0
            .saturating_mul(self.stays)
            .saturating_mul(FORGIVEN);
        self.stays = match self.moved {
            Some(moved) if now.since(moved).0 < quiet => (self.stays * 2).min(LONGEST_STAY),
            Some(_) | None => 1,
        };
        self.moved = Some(now);
        self.node = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Nanos = Nanos(1_000_000);

    fn node(number: u8) -> NodeId {
        NodeId::new(number).unwrap()
    }

    #[test]
    fn demand_is_the_part_of_the_time_that_a_thread_could_run() {
        let decay = Decay::new(16);
        let mut seat = Seat::new(Nanos(0), 0, node(0), decay, PERIOD);
        assert_eq!(seat.demand(decay, PERIOD), 1000, "until it is known better");
        for step in 1..2000 {
            let now = step * PERIOD.0;
            seat.set_runnable(true);
            seat.count(Nanos(now - 250_000), step, decay, PERIOD);
            seat.set_runnable(false);
            seat.count(Nanos(now), step, decay, PERIOD);
        }
        let demand = seat.demand(decay, PERIOD);
        assert!((730..=770).contains(&demand), "{demand}");
    }

    #[test]
    fn a_thread_that_is_moved_again_stays_longer_each_time_until_it_is_forgiven() {
        let decay = Decay::new(16);
        let mut seat = Seat::new(Nanos(0), 0, node(0), decay, PERIOD);
        let (residency, mut now, mut stays) = (Nanos(1000), 0, Vec::new());
        assert!(!seat.stays(Nanos(0), residency));
        for turn in 0..9 {
            seat.moves(Nanos(now), node(1 - turn % 2), residency);
            let before = now;
            while seat.stays(Nanos(now), residency) {
                now += 500;
            }
            stays.push((now - before) / 1000);
        }
        assert_eq!(stays, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        now += 64 * 8 * 1000;
        seat.moves(Nanos(now), node(0), residency);
        assert!(
            !seat.stays(Nanos(now + 1000), residency),
            "that is long ago"
        );
    }
}
