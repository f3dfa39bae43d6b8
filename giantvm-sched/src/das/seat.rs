//! Where a thread is, how long it has to stay, and how much of a processor it needs.

use giantvm_core::NodeId;

use super::decay::{Decay, Fading};
use super::doing::Doing;
use crate::residency::Residency;
use crate::schedule::Nanos;

/// How many residencies threads that came together stay so at first, and how many times that at most.
const FIRST: u64 = 8;
const MOST: u64 = 8;

/// How long a thread stays with those that it shares pages with: programs have phases.
#[derive(Debug, Clone, Copy, Default)]
struct Together {
    until: Nanos,
    /// How long that was for.
    span: Nanos,
    /// With how many, itself among them.
    size: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) node: NodeId,
    /// Since it was moved by plan.
    stay: Residency,
    /// The time that it could run, of late.
    runnable: Fading,
    is_runnable: bool,
    pub(super) doing: Doing,
    together: Together,
    counted: Nanos,
    faded: u64,
}

impl Seat {
    /// A thread that appears. It is taken to need a processor until it is known better, as Linux
    /// does.
    pub(super) fn new(now: Nanos, step: u64, node: NodeId, decay: Decay, period: Nanos) -> Self {
        Self {
            node,
            stay: Residency::NEW,
            runnable: Fading::of(decay.steady(period.0)),
            is_runnable: true,
            doing: Doing::default(),
            together: Together::default(),
            counted: now,
            faded: step,
        }
    }

    /// Counts the time up to `now`, and says whether it can run from then on.
    pub(super) fn count(&mut self, now: Nanos, step: u64, decay: Decay, period: Nanos) {
        let steps = step.saturating_sub(self.faded);
        if steps > 0 {
            self.runnable.fade(decay.after(steps));
            self.doing.fade(decay.after(steps));
            self.faded = step;
        }
        self.doing.pass(now.since(self.counted).0);
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
        self.stay.lasts(now, residency)
    }

    /// It came together with all that it shares pages with, or they with it, as apart they got little done: a team of so
    /// many.
    pub(super) fn gathers(&mut self, now: Nanos, size: usize, residency: Nanos) {
        let (last, again) = (self.together.span, now.since(self.together.until));
        let first = Nanos(residency.0.saturating_mul(FIRST));
        let most = Nanos(first.0.saturating_mul(MOST));
        let span = if self.team(now) > 0 {
            last
        } else if again < last {
            Nanos(last.0.saturating_mul(2)).min(most)
        } else {
            first
        };
        self.together = Together {
            until: now.plus(span),
            span,
            size,
        };
    }

    /// Of how many a team is that it has come together in, as long as that holds; else 0.
    pub(super) fn team(&self, now: Nanos) -> usize {
        match now < self.together.until {
            true => self.together.size,
            false => 0,
        }
    }

    /// It was moved by plan.
    pub(super) fn moves(&mut self, now: Nanos, to: NodeId, residency: Nanos) {
        self.stay.begin(now, residency);
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
}
