//! Whether other threads of this process run.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long an answer is good for: asking takes two system calls.
const FRESH: Duration = Duration::from_micros(100);
/// Who ran for less than one part in so many did not run.
const PART: u32 = 4;

/// The processor time of the process without the thread that asks, and that thread's sleep.
#[derive(Debug, Default)]
pub(super) struct Runtime {
    asked: Duration,
    used: Duration,
    /// Sleep since the question was asked last.
    slept: Duration,
}

impl Runtime {
    /// The processor time that all threads but the calling one have used.
    pub(super) fn used() -> Duration {
        time(ClockId::ProcessCPUTime).saturating_sub(time(ClockId::ThreadCPUTime))
    }

    /// Notes that the thread slept.
    pub(super) fn slept(&mut self, slept: Duration) {
        self.slept = self.slept.saturating_add(slept);
    }

    /// Whether threads of this process but the calling one ran while that slept, as far as can be
    /// said, since the question was asked last; `None` if that was just before `now`.
    pub(super) fn others_ran(&mut self, now: Duration) -> Option<bool> {
        if now.saturating_sub(self.asked) < FRESH {
            return None;
        }
        let used = Self::used();
        let ran = used.saturating_sub(self.used);
        let slept = std::mem::take(&mut self.slept);
        (self.asked, self.used) = (now, used);
        Some(ran >= slept / PART)
    }
}

fn time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_was_just_asked_is_not_asked_again() {
        let mut runtime = Runtime::default();
        assert!(runtime.others_ran(Duration::from_secs(1)).is_some());
        let soon = Duration::from_secs(1) + FRESH / 2;
        assert_eq!(runtime.others_ran(soon), None);
    }

    #[test]
    fn nobody_can_have_run_for_a_year() {
        let mut runtime = Runtime::default();
        let year = Duration::from_secs(365 * 86400);
        runtime.slept(year);
        assert_eq!(runtime.others_ran(year), Some(false));
        assert_eq!(
            runtime.others_ran(2 * year),
            Some(true),
            "nor not run in no time"
        );
    }
}
