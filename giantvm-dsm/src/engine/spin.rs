//! When the pump looks again at once instead of sleeping.
//!
//! A thread that sleeps costs whoever wakes it a wake-up, and itself the way out of the idle state:
//! tens of microseconds where a page moves in ten. A thread that looks all the time finds a message
//! at once, but takes a processor that others may need; where they do, it costs milliseconds. So:
//!
//! | state | what is expected | looks for |
//! |---|---|---|
//! | a local thread waits for a page, and others want the processor | an answer that comes promptly | [`BRIEF`] |
//! | others want the processor | nothing | no time |
//! | a local thread waits for a page | the answer: its thread's processor is free meanwhile | [`ANSWER`] |
//! | a local thread was woken since the last sleep | nothing: it wants a processor now | no time |
//! | else | the next request of a peer | the window |
//!
//! Others want it while the machine is [crowded](super::crowd::Crowd), for a while after the pump was
//! itself taken off its processor, and where it may run on one only which local threads want. A thread
//! wants one from when it is woken until it faults again. Nobody says when it stops
//! for another reason, so when a sleep was ended by a peer, it is checked whether any thread ran.
//!
//! After an answer that was looked for in vain the next one is looked for half as long, until one is
//! found: whoever has it may need this processor.
//!
//! The *window* is learned, as for a hypervisor that polls before it halts: it doubles when a sleep
//! ends so soon that looking on would have caught its end, and is dropped when a sleep was long.
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
    /// nothing came, or less where little has come of late. For nodes whose pump has a processor to itself, or shares one with the
    /// threads that wait for it.
    Latency,
}

/// How long the answer to a local fault is looked for: some times what a round trip to a node that
/// looks as well takes, and enough for one to a node that has to be woken.
const ANSWER: Duration = Duration::from_micros(60);
/// How long an answer is looked for that comes promptly, whoever wants the processor: no longer than a
/// sleep and a wake-up take, which would give others less time than they cost.
const BRIEF: Duration = Duration::from_micros(10);
/// The shortest window that is not none.
const SHORTEST: Duration = Duration::from_micros(12);
/// The longest window.
const LONGEST: Duration = Duration::from_micros(100);
/// How long anything is looked for by a node that was told to.
const PATIENT: Duration = Duration::from_millis(1);
/// After a sleep of so long a node told to be patient is idle: nothing comes but signs of life.
const IDLE: Duration = Duration::from_millis(10);
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
    /// How long the next answer is looked for.
    answer: Duration,
    /// Whether an answer comes before a sleep would have begun and ended.
    prompt: bool,
    /// Whether a local thread was woken since the last sleep.
    woke: bool,
    /// Local threads that were woken and have not faulted since.
    running: usize,
    /// Whether the last sleep was long.
    idle: bool,
    /// Until when nothing is looked for.
    banned: Duration,
}

impl Spin {
    pub(super) fn new(waiting: Waiting, confined: bool) -> Self {
        Self {
            waiting,
            confined,
            window: LONGEST,
            answer: ANSWER,
            prompt: true,
            woke: false,
            running: 0,
            idle: false,
            banned: Duration::ZERO,
        }
    }

    /// Notes that so many local threads were woken.
    pub(super) fn woke(&mut self, threads: usize) {
        self.woke |= threads > 0;
        self.running = self.running.saturating_add(threads);
    }

    /// Notes that so many local threads wait for a page now.
    pub(super) fn faulted(&mut self, threads: usize) {
        self.running = self.running.saturating_sub(threads);
    }

    /// Whether the pump has to leave its only processor to local threads.
    pub(super) const fn is_wanted(&self) -> bool {
        self.confined && self.running > 0
    }

    /// Notes that no local thread ran for a while.
    pub(super) fn none_ran(&mut self) {
        self.running = 0;
    }

    /// How long to look on at `now`, if nothing comes. `awaits`: a local thread waits for a page.
    pub(super) fn budget(
        &self,
        now: Duration,
        awaits: bool,
        crowded: impl FnOnce() -> bool,
    ) -> Duration {
        let budget = match self.waiting {
            Waiting::Blocking => return Duration::ZERO,
            Waiting::Latency if self.idle && !awaits => LONGEST,
            Waiting::Latency => PATIENT,
            Waiting::Adaptive if awaits => self.answer,
            Waiting::Adaptive if self.woke => Duration::ZERO,
            Waiting::Adaptive => self.window,
        };
        if budget.is_zero() {
            return budget;
        }
        let adapts = self.waiting == Waiting::Adaptive;
        if self.is_wanted() || adapts && (now < self.banned || crowded()) {
            return if awaits && self.prompt {
                BRIEF
            } else {
                Duration::ZERO
            };
        }
        budget
    }

    /// Learns from a look that found something.
    pub(super) fn found(&mut self, awaits: bool) {
        self.idle = false;
        if awaits {
            (self.answer, self.prompt) = (ANSWER, true);
        }
    }

    /// Learns from a look that found nothing for `took` by `now`, of a `budget`.
    pub(super) fn looked(&mut self, now: Duration, took: Duration, budget: Duration, awaits: bool) {
        if awaits && budget == BRIEF {
            self.prompt = false;
        } else if awaits {
            self.answer = (budget / 2).max(SHORTEST);
        }
        if took > budget + SLICE {
            self.banned = now + PENANCE;
        }
    }

    /// Learns from a sleep that something ended after `slept`: an answer, if so.
    pub(super) fn slept(&mut self, slept: Duration, answered: bool) {
        self.woke = false;
        self.idle = slept > IDLE;
        if answered {
            self.prompt = slept < 2 * BRIEF;
        }
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
        spin.woke(1);
        assert_eq!(budget(&spin, false), Duration::ZERO);
        assert_eq!(budget(&spin, true), BRIEF, "another one waits");
        spin.slept(SHORTEST, false);
        assert_eq!(budget(&spin, false), Duration::ZERO, "it runs on");
        spin.faulted(1);
        assert_eq!(budget(&spin, true), ANSWER, "it waits");
        spin.woke(2);
        spin.none_ran();
        spin.slept(SHORTEST, false);
        assert_eq!(
            budget(&spin, false),
            LONGEST,
            "they wait for something else"
        );
    }

    #[test]
    fn a_pump_with_other_processors_at_hand_waits_for_answers_beside_threads_that_run() {
        let mut spin = Spin::new(Waiting::Adaptive, false);
        spin.woke(1);
        assert_eq!(budget(&spin, true), ANSWER);
        assert_eq!(budget(&spin, false), Duration::ZERO);
        spin.slept(SHORTEST, false);
        assert_eq!(budget(&spin, false), LONGEST);
    }

    #[test]
    fn a_pump_with_other_processors_at_hand_looks_on_if_told_to() {
        let mut spin = Spin::new(Waiting::Latency, false);
        spin.woke(1);
        assert_eq!(budget(&spin, false), PATIENT);
        let mut spin = Spin::new(Waiting::Latency, true);
        spin.woke(1);
        assert_eq!(budget(&spin, false), Duration::ZERO);
    }

    #[test]
    fn the_window_follows_what_comes() {
        let mut spin = spin(Waiting::Adaptive);
        spin.slept(Duration::from_secs(1), false);
        assert_eq!(
            budget(&spin, false),
            Duration::ZERO,
            "nothing came for long"
        );
        let windows = [0; 5].map(|_| {
            spin.slept(Duration::from_micros(20), false);
            budget(&spin, false)
        });
        assert!(windows.is_sorted());
        assert_eq!((windows[0], windows[4]), (SHORTEST, LONGEST));
    }

    #[test]
    fn threads_that_wait_for_a_processor_end_the_looking() {
        let mut spin = spin(Waiting::Adaptive);
        assert_eq!(spin.budget(NOW, false, || true), Duration::ZERO);
        assert_eq!(spin.budget(NOW, true, || true), BRIEF);
        spin.looked(NOW, BRIEF, BRIEF, true);
        assert_eq!(spin.budget(NOW, true, || true), Duration::ZERO);
        spin.slept(3 * BRIEF, true);
        assert_eq!(spin.budget(NOW, true, || true), Duration::ZERO);
        spin.slept(BRIEF, true);
        assert_eq!(spin.budget(NOW, true, || true), BRIEF, "it came promptly");
        spin.looked(NOW, LONGEST + SLICE, LONGEST, false);
        assert_eq!(budget(&spin, false), LONGEST, "that was only slow");
        spin.looked(NOW, Duration::from_millis(3), LONGEST, false);
        assert_eq!(budget(&spin, false), Duration::ZERO);
        let later = NOW + PENANCE;
        assert_eq!(spin.budget(later, true, || false), ANSWER);
    }

    #[test]
    fn an_answer_that_does_not_come_is_looked_for_ever_shorter_until_one_comes() {
        let mut spin = spin(Waiting::Adaptive);
        let budgets = [0; 4].map(|_| {
            let budget = budget(&spin, true);
            spin.looked(NOW, budget, budget, true);
            budget
        });
        assert_eq!(
            budgets,
            [ANSWER, ANSWER / 2, ANSWER / 4, ANSWER / 8].map(|b| b.max(SHORTEST))
        );
        spin.found(true);
        assert_eq!(budget(&spin, true), ANSWER);
    }

    #[test]
    fn a_node_for_low_latency_that_idles_looks_on_for_less_until_something_comes() {
        let mut spin = spin(Waiting::Latency);
        spin.slept(IDLE * 2, false);
        assert_eq!(
            [budget(&spin, false), budget(&spin, true)],
            [LONGEST, PATIENT]
        );
        spin.found(false);
        assert_eq!(budget(&spin, false), PATIENT);
    }

    #[test]
    fn a_node_for_low_latency_asks_no_one() {
        let spin = spin(Waiting::Latency);
        assert_eq!(spin.budget(NOW, true, || unreachable!()), PATIENT);
    }
}
