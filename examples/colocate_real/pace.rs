//! How much work a vCPU is given, as time goes on.

use std::time::Duration;

/// How far a vCPU may be behind. What it was not able to do by then is not done any more: who asked
/// for it has gone elsewhere.
const PATIENCE: Duration = Duration::from_millis(200);

/// A step that takes so many times what the last ones took waited for pages, or came after other work:
/// it says nothing about how fast the processor is.
const DISTURBED: f64 = 1.5;
/// How many steps what one takes is an average of.
const MEMORY: f64 = 128.0;

/// As many steps as a part of a processor can do, of which some are done and others are given up.
///
/// How fast the processor is changes as others use what it shares with them, so what a step takes is
/// measured all along: what is asked for remains the same part of a processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The part of a processor.
    wants: f64,
    /// Seconds of processor time that a step takes.
    cost: f64,
    /// Steps that were asked for until then.
    asked: f64,
    until: Duration,
    done: u64,
    given_up: u64,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// A step.
    Step,
    /// Nothing for so long.
    Wait(Duration),
}

impl Pace {
    /// A part of a processor, of which a step took so much before.
    pub(crate) const fn new(wants: f64, cost: Duration) -> Self {
        Self {
            wants,
            cost: cost.as_secs_f64(),
            asked: 0.0,
            until: Duration::ZERO,
            done: 0,
            given_up: 0,
        }
    }

    /// What is to be done when so much time has passed.
    pub(crate) fn next(&mut self, passed: Duration) -> Next {
        let rate = self.wants / self.cost.max(f64::MIN_POSITIVE);
        self.asked += passed.saturating_sub(self.until).as_secs_f64() * rate;
        self.until = self.until.max(passed);
        let late = whole(self.asked - PATIENCE.as_secs_f64() * rate);
        let settled = self.done + self.given_up;
        self.given_up += late.saturating_sub(settled);
        let settled = self.done + self.given_up;
        if settled < self.asked() {
            return Next::Step;
        }
        let left = ((settled + 1) as f64 - self.asked).max(0.0) / rate.max(f64::MIN_POSITIVE);
        Next::Wait(Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX))
    }

    /// A step was done, and took so much processor time.
    pub(crate) fn did(&mut self, took: Duration) {
        self.done += 1;
        let took = took.as_secs_f64();
        if took < self.cost * DISTURBED {
            self.cost += (took - self.cost) / MEMORY;
        }
    }

    pub(crate) const fn done(&self) -> u64 {
        self.done
    }

    /// The processor time of a step, in microseconds.
    pub(crate) const fn cost_us(&self) -> f64 {
        self.cost * 1e6
    }

    /// How many steps were asked for so far.
    pub(crate) fn asked(&self) -> u64 {
        whole(self.asked)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some thousand steps a second"
)]
fn whole(steps: f64) -> u64 {
    steps.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn steps_come_one_by_one() {
        let mut pace = Pace::new(0.1, MS);
        assert_eq!(pace.next(Duration::ZERO), Next::Wait(10 * MS));
        assert_eq!(pace.next(10 * MS), Next::Step);
        pace.did(MS);
        assert_eq!(pace.next(15 * MS), Next::Wait(5 * MS));
    }

    #[test]
    fn what_is_late_is_given_up_and_the_rest_is_not() {
        let mut pace = Pace::new(0.1, MS);
        let mut did = 0;
        while pace.next(1000 * MS) == Next::Step {
            pace.did(MS);
            did += 1;
        }
        assert_eq!(did, 20, "those of the last 200 ms");
    }

    #[test]
    fn a_slower_processor_is_asked_for_less_and_a_step_that_waited_is_no_sign_of_one() {
        let asked = |took: Duration| {
            let mut pace = Pace::new(0.5, MS);
            (0..10_000).for_each(|_| pace.did(took));
            pace.next(1000 * MS);
            pace.asked()
        };
        assert_eq!(asked(MS), 500);
        assert!((357..=358).contains(&asked(14 * MS / 10)));
        assert_eq!(asked(2 * MS), 500);
    }

    proptest! {
        #[test]
        fn no_more_is_done_than_was_asked_for_and_who_is_fast_does_all(
            wants in 0.01..1.0_f64, steps in prop::collection::vec((0..100_u32, 1..3000_u64), 1..200),
        ) {
            let (mut pace, mut passed) = (Pace::new(wants, MS), Duration::ZERO);
            for (ms, took) in steps {
                passed += ms * MS;
                while pace.next(passed) == Next::Step {
                    pace.did(Duration::from_micros(took));
                }
                prop_assert_eq!(pace.done(), pace.asked());
            }
        }
    }
}
