//! When the pump looks again at once instead of sleeping.
//!
//! A thread that sleeps costs whoever wakes it a wake-up, and itself the way out of the idle state:
//! tens of microseconds where a page moves in ten. A thread that looks all the time finds a message
//! at once, but takes a processor that others may need; where they do, it costs milliseconds. So:
//!
//! | state | what is expected | looks for |
//! |---|---|---|
//! | a local thread waits for a page | the answer: its thread's processor is free meanwhile | [`ANSWER`] |
//! | a local thread was woken since the last sleep | nothing: it wants the processor now | no time |
//! | else | the next request of a peer | the window |
//!
//! The *window* is learned, as for a hypervisor that polls before it halts: it doubles when a sleep
//! ends so soon that looking on would have caught its end, and is dropped when a sleep was long.
//! Nothing is looked for while the machine is [crowded](super::crowd::Crowd), nor for a while
//! after the pump was itself taken off its processor while it looked.
//!
//! This is a value without a clock: time is an argument.

use std::time::Duration;

/// How the pump of a node waits for what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Waiting {
    /// Sleeps whenever there is nothing to do. Costs no processor time, and a wake-up each time.
    Blocking,
    /// Looks on for a moment, as long as that has paid and no thread waits for a processor.
    #[default]
    Adaptive,
    /// Looks on whatever else the machine has to do, and sleeps only after a millisecond in which
    /// nothing came. For nodes whose pump has a processor to itself, or shares one with the
    /// threads that wait for it.
    Latency,
}

/// How long the answer to a local fault is looked for: some times what a round trip to a node that
/// looks as well takes, and no more than what one wake-up costs twice.
const ANSWER: Duration = Duration::from_micros(100);
/// The shortest window that is not none.
const SHORTEST: Duration = Duration::from_micros(12);
/// The longest window.
const LONGEST: Duration = Duration::from_micros(100);
/// How long anything is looked for by a node that was told to.
const PATIENT: Duration = Duration::from_millis(1);
/// A look that takes so much longer than it should was interrupted by another thread.
const SLICE: Duration = Duration::from_micros(500);
/// How long nothing is looked for after that.
const PENANCE: Duration = Duration::from_millis(20);

/// What the pump knows about waiting.
#[derive(Debug)]
pub(super) struct Spin {
    waiting: Waiting,
    /// Whether the pump may run on one processor only, where it must not hinder whom it woke.
    confined: bool,
    window: Duration,
    /// Whether a local thread was woken since the last sleep.
    woke: bool,
    /// Until when nothing is looked for.
    banned: Duration,
}

impl Spin {
    pub(super) fn new(waiting: Waiting, confined: bool) -> Self {
        Self {
            waiting,
            confined,
            window: LONGEST,
            woke: false,
            banned: Duration::ZERO,
        }
    }

    /// Notes that local threads were woken.
    pub(super) fn woke(&mut self) {
        self.woke = true;
    }

    /// How long to look on at `now`, if nothing comes. `awaits`: a local thread waits for a page.
    pub(super) fn budget(
        &self,
        now: Duration,
        awaits: bool,
        crowded: impl FnOnce() -> bool,
    ) -> Duration {
        let budget = match self.waiting {
            Waiting::Blocking => Duration::ZERO,
            Waiting::Latency if awaits => PATIENT,
            Waiting::Latency if self.woke && self.confined => Duration::ZERO,
            Waiting::Latency => PATIENT,
            Waiting::Adaptive if now < self.banned => Duration::ZERO,
            Waiting::Adaptive if awaits => ANSWER,
            Waiting::Adaptive if self.woke => Duration::ZERO,
            Waiting::Adaptive => self.window,
        };
        if budget.is_zero() || self.waiting == Waiting::Adaptive && crowded() {
            return Duration::ZERO;
        }
        budget
    }

    /// Learns from a look that found nothing for `took` by `now`, of a `budget`.
    pub(super) fn looked(&mut self, now: Duration, took: Duration, budget: Duration) {
        if took > budget + SLICE {
            self.banned = now + PENANCE;
        }
    }

    /// Learns from a sleep that something ended after `slept`.
    pub(super) fn slept(&mut self, slept: Duration) {
        self.woke = false;
        self.window = if slept > LONGEST {
            Duration::ZERO
        } else {
            (self.window * 2).clamp(SHORTEST, LONGEST)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn spin(waiting: Waiting) -> Spin {
        Spin::new(waiting, true)
    }

    fn budget(spin: &Spin, awaits: bool) -> Duration {
        spin.budget(NOW, awaits, || false)
    }

    #[test]
    fn a_blocking_pump_never_looks_on() {
        let spin = spin(Waiting::Blocking);
        assert_eq!(
            [budget(&spin, true), budget(&spin, false)],
            [Duration::ZERO; 2]
        );
    }

    #[test]
    fn who_was_woken_gets_the_processor_until_the_pump_has_slept() {
        let mut spin = spin(Waiting::Adaptive);
        spin.woke();
        assert_eq!(budget(&spin, false), Duration::ZERO);
        assert_eq!(budget(&spin, true), ANSWER, "another thread waits");
        spin.slept(SHORTEST);
        assert_eq!(budget(&spin, false), LONGEST);
    }

    #[test]
    fn a_pump_with_other_processors_at_hand_looks_on_if_told_to() {
        let mut spin = Spin::new(Waiting::Latency, false);
        spin.woke();
        assert_eq!(budget(&spin, false), PATIENT);
        let mut spin = Spin::new(Waiting::Latency, true);
        spin.woke();
        assert_eq!(budget(&spin, false), Duration::ZERO);
    }

    #[test]
    fn the_window_follows_what_comes() {
        let mut spin = spin(Waiting::Adaptive);
        spin.slept(Duration::from_secs(1));
        assert_eq!(
            budget(&spin, false),
            Duration::ZERO,
            "nothing came for long"
        );
        let windows = [0; 5].map(|_| {
            spin.slept(Duration::from_micros(20));
            budget(&spin, false)
        });
        assert!(windows.is_sorted());
        assert_eq!((windows[0], windows[4]), (SHORTEST, LONGEST));
    }

    #[test]
    fn threads_that_wait_for_a_processor_end_the_looking() {
        let mut spin = spin(Waiting::Adaptive);
        assert_eq!(spin.budget(NOW, true, || true), Duration::ZERO);
        spin.looked(NOW, ANSWER + SLICE, ANSWER);
        assert_eq!(budget(&spin, true), ANSWER, "that was only slow");
        spin.looked(NOW, Duration::from_millis(3), ANSWER);
        assert_eq!(budget(&spin, true), Duration::ZERO);
        let later = NOW + PENANCE;
        assert_eq!(spin.budget(later, true, || false), ANSWER);
    }

    #[test]
    fn a_node_for_low_latency_asks_no_one() {
        let spin = spin(Waiting::Latency);
        assert_eq!(spin.budget(NOW, true, || unreachable!()), PATIENT);
    }
}
