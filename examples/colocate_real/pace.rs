//! How much work a vCPU is given, as time goes on.

use std::time::Duration;

/// How far a vCPU may be behind. What it was not able to do by then is not done any more: who asked
/// for it has gone elsewhere.
const PATIENCE: Duration = Duration::from_millis(200);

/// So many steps a second, of which some are done and others are given up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    rate: f64,
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
    /// Steps a second.
    pub(crate) const fn new(rate: f64) -> Self {
        Self {
            rate,
            done: 0,
            given_up: 0,
        }
    }

    /// What is to be done when so much time has passed.
    pub(crate) fn next(&mut self, passed: Duration) -> Next {
        let asked = self.asked(passed);
        let late = self.asked(passed.saturating_sub(PATIENCE));
        let settled = self.done + self.given_up;
        self.given_up += late.saturating_sub(settled);
        let settled = self.done + self.given_up;
        if settled < asked {
            return Next::Step;
        }
        let at = (settled + 1) as f64 / self.rate.max(f64::MIN_POSITIVE);
        let at = Duration::try_from_secs_f64(at).unwrap_or(Duration::MAX);
        Next::Wait(at.saturating_sub(passed))
    }

    /// A step was done.
    pub(crate) const fn did(&mut self) {
        self.done += 1;
    }

    pub(crate) const fn done(&self) -> u64 {
        self.done
    }

    /// How many steps were asked for within that time.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some thousand steps a second"
    )]
    pub(crate) fn asked(&self, passed: Duration) -> u64 {
        (passed.as_secs_f64() * self.rate) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps_come_one_by_one() {
        let mut pace = Pace::new(100.0);
        let ms = Duration::from_millis;
        assert_eq!(pace.next(ms(0)), Next::Wait(ms(10)));
        assert_eq!(pace.next(ms(10)), Next::Step);
        pace.did();
        assert_eq!(pace.next(ms(15)), Next::Wait(ms(5)));
    }

    #[test]
    fn what_is_late_is_given_up_and_the_rest_is_not() {
        let mut pace = Pace::new(100.0);
        let second = Duration::from_secs(1);
        let mut did = 0;
        while pace.next(second) == Next::Step {
            pace.did();
            did += 1;
        }
        assert_eq!(did, 20, "those of the last 200 ms");
    }

    proptest! {
        #[test]
        fn no_more_is_done_than_was_asked_for_and_who_is_fast_does_all(
            rate in 1.0..5000.0_f64, steps in prop::collection::vec(0..100_u64, 1..200),
        ) {
            let (mut pace, mut passed) = (Pace::new(rate), Duration::ZERO);
            for ms in steps {
                passed += Duration::from_millis(ms);
                while pace.next(passed) == Next::Step {
                    pace.did();
                }
                prop_assert_eq!(pace.done(), pace.asked(passed));
            }
        }
    }
}
