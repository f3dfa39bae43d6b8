//! How far the own clock is from the reference's.

use std::collections::VecDeque;

use super::{Bounds, Nanos, Probe, Reply};

/// Samples that are kept.
const WINDOW: usize = 32;
/// Questions that may be open at a time; older ones count as lost.
const OPEN: usize = 8;
/// How fast two clocks drift apart at most, in nanoseconds a millisecond: quartz oscillators are
/// within 100 parts in a million each.
const DRIFT_PER_MS: u64 = 200;
const MS: u64 = 1_000_000;
/// The first questions follow one another faster, to fill the window.
const FAST: (u32, u64) = (32, 2 * MS);
/// The time between two questions later. At the greatest drift the clocks part by 20 microseconds
/// meanwhile, less than a round trip of most networks.
const INTERVAL: u64 = 100 * MS;

/// What the estimator thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// What to add to the own time to get guest time, in nanoseconds.
    pub offset: i64,
    /// How far `offset` can be wrong, in nanoseconds: at most half a round trip and the drift since.
    pub error: u64,
    /// The own time that the estimate is for.
    pub at: Nanos,
}

/// A reply that says nothing. Nothing changed; a late or repeated reply is no crime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedReply {
    /// It answers no open question.
    #[error("no clock probe {0} is open")]
    Unasked(u32),
    /// Its times cannot be: answered before asked, or longer under way than it took.
    #[error("the times of the answer to clock probe {0} contradict one another")]
    Impossible(u32),
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    bounds: Bounds,
    at: Nanos,
}

impl Sample {
    /// What drift has left of it.
    fn bounds_at(&self, now: Nanos) -> Bounds {
        let age = now.0.saturating_sub(self.at.0);
        let (whole, rest) = (age / MS, age % MS);
        let drift = whole.saturating_mul(DRIFT_PER_MS);
        let drift = drift.saturating_add((rest * DRIFT_PER_MS).div_ceil(MS));
        self.bounds.widened(drift)
    }
}

/// Estimates the offset to the reference's clock from questions and answers, as NTP does: a question was
/// sent before it came, and an answer came after it was sent, which bounds the offset from both sides; the
/// bounds of the last exchanges hold all at once, less what drift can have made of them since (Marzullo
/// and Owicki 1983). So the fastest question and the fastest answer count, which need not be of one exchange.
///
/// Pure: time is an argument. All of it is the asker's own, never corrected clock.
#[derive(Debug, Clone, Default)]
pub struct OffsetEstimator {
    asked: u32,
    last: Option<Nanos>,
    open: VecDeque<Probe>,
    samples: VecDeque<Sample>,
}

impl OffsetEstimator {
    /// An estimator that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// When the next question is due.
    #[must_use]
    pub fn due(&self) -> Nanos {
        let interval = if self.asked < FAST.0 {
            FAST.1
        } else {
            INTERVAL
        };
        self.last
            .map_or(Nanos(0), |last| Nanos(last.0.saturating_add(interval)))
    }

    /// A question to send now.
    pub fn probe(&mut self, now: Nanos) -> Probe {
        let (sequence, sent) = (self.asked, now);
        let probe = Probe { sequence, sent };
        self.asked = self.asked.wrapping_add(1);
        self.last = Some(now);
        if self.open.len() == OPEN {
            self.open.pop_front();
        }
        self.open.push_back(probe);
        probe
    }

    /// Takes an answer that came now, and says what is known then.
    ///
    /// # Errors
    /// [`RefusedReply`] if the answer is of no use.
    pub fn reply(&mut self, now: Nanos, reply: Reply) -> Result<Estimate, RefusedReply> {
        let sequence = reply.probe.sequence;
        let open = self.open.iter().position(|probe| *probe == reply.probe);
        let open = open.ok_or(RefusedReply::Unasked(sequence))?;
        let sample = sample(now, &reply).ok_or(RefusedReply::Impossible(sequence))?;
        self.open.remove(open);
        if self.samples.len() == WINDOW {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        Ok(estimate(self.bounds(now).unwrap_or(sample.bounds), now))
    }

    /// What is known now; `None` before the first answer.
    #[must_use]
    pub fn estimate(&self, now: Nanos) -> Option<Estimate> {
        Some(estimate(self.bounds(now)?, now))
    }

    /// Between what the offset is; `None` before the first answer.
    ///
    /// Where exchanges contradict one another, as after a clock was set, the later ones count.
    #[must_use]
    pub fn bounds(&self, now: Nanos) -> Option<Bounds> {
        let mut latest_first = self
            .samples
            .iter()
            .rev()
            .map(|sample| sample.bounds_at(now));
        let latest = latest_first.next()?;
        let both = |known: Bounds, more| known.and(more).unwrap_or(known);
        Some(latest_first.fold(latest, both))
    }
}

fn estimate(bounds: Bounds, at: Nanos) -> Estimate {
    let offset = bounds.middle();
    Estimate {
        offset,
        error: bounds.high.abs_diff(offset),
        at,
    }
}

fn sample(now: Nanos, reply: &Reply) -> Option<Sample> {
    let total = now.0.checked_sub(reply.probe.sent.0)?;
    let there = reply.replied.0.checked_sub(reply.received.0)?;
    total.checked_sub(there)?;
    let out = i128::from(reply.received.0) - i128::from(reply.probe.sent.0);
    let back = i128::from(reply.replied.0) - i128::from(now.0);
    let bounds = Bounds {
        low: i64::try_from(back).ok()?,
        high: i64::try_from(out).ok()?,
    };
    Some(Sample { bounds, at: now })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exchange(estimator: &mut OffsetEstimator, at: u64, out: u64, back: u64) -> Estimate {
        // The reference is 1000 ahead and answers at once.
        let probe = estimator.probe(Nanos(at));
        let there = Nanos(at + out + 1000);
        let reply = Reply {
            probe,
            received: there,
            replied: there,
        };
        estimator.reply(Nanos(at + out + back), reply).unwrap()
    }

    #[test]
    fn the_fastest_exchange_counts() {
        let mut estimator = OffsetEstimator::new();
        assert_eq!(exchange(&mut estimator, 0, 500, 100).offset, 1200);
        let estimate = exchange(&mut estimator, 1000, 10, 10);
        assert_eq!((estimate.offset, estimate.error), (1000, 10));
        assert_eq!(exchange(&mut estimator, 2000, 100, 500).offset, 1000);
    }

    #[test]
    fn the_fastest_way_there_and_the_fastest_way_back_need_not_be_of_one_exchange() {
        let mut estimator = OffsetEstimator::new();
        exchange(&mut estimator, 0, 10, 900);
        let estimate = exchange(&mut estimator, 1000, 900, 30);
        // The first has drifted by less than 1 since.
        assert_eq!((estimate.offset, estimate.error), (990, 21));
        let bounds = estimator.bounds(Nanos(1930)).unwrap();
        assert_eq!((bounds.low, bounds.high), (970, 1011));
    }

    #[test]
    fn exchanges_that_contradict_one_another_give_way_to_the_latest() {
        let mut estimator = OffsetEstimator::new();
        exchange(&mut estimator, 0, 10, 10);
        let probe = estimator.probe(Nanos(1000));
        let there = Nanos(901_010);
        let (received, replied) = (there, there);
        let reply = Reply {
            probe,
            received,
            replied,
        };
        let estimate = estimator.reply(Nanos(1020), reply).unwrap();
        assert_eq!((estimate.offset, estimate.error), (900_000, 10));
    }

    #[test]
    fn an_old_exchange_loses_to_a_slower_fresh_one() {
        let mut estimator = OffsetEstimator::new();
        exchange(&mut estimator, 0, 10, 10);
        let estimate = exchange(&mut estimator, 100 * MS, 300, 100);
        assert_eq!((estimate.offset, estimate.error), (1100, 200));
    }

    #[test]
    fn replies_that_were_not_asked_for_or_cannot_be_are_refused() {
        let mut estimator = OffsetEstimator::new();
        let probe = estimator.probe(Nanos(100));
        let reply = |probe, received, replied| Reply {
            probe,
            received: Nanos(received),
            replied: Nanos(replied),
        };
        let strange = Probe {
            sequence: 9,
            ..probe
        };
        let mut refused = |now, reply| estimator.reply(Nanos(now), reply).unwrap_err();
        assert_eq!(refused(200, reply(strange, 0, 0)), RefusedReply::Unasked(9));
        assert_eq!(
            refused(200, reply(probe, 50, 40)),
            RefusedReply::Impossible(0)
        );
        assert_eq!(
            refused(200, reply(probe, 0, 101)),
            RefusedReply::Impossible(0)
        );
        assert_eq!(refused(99, reply(probe, 0, 0)), RefusedReply::Impossible(0));
        assert_eq!(
            refused(200, reply(probe, u64::MAX, u64::MAX)),
            RefusedReply::Impossible(0)
        );
        assert!(estimator.reply(Nanos(200), reply(probe, 0, 100)).is_ok());
        assert!(
            estimator.reply(Nanos(200), reply(probe, 0, 100)).is_err(),
            "answered twice"
        );
    }

    proptest! {
        #[test]
        fn any_replies_are_handled(times in prop::collection::vec(any::<(u64, u64, u64)>(), 1..40)) {
            let mut estimator = OffsetEstimator::new();
            for (now, received, replied) in times {
                let probe = estimator.probe(Nanos(now / 2));
                let (received, replied) = (Nanos(received), Nanos(replied));
                let _ = estimator.reply(Nanos(now), Reply { probe, received, replied });
                prop_assert!(estimator.samples.len() <= WINDOW && estimator.open.len() <= OPEN);
            }
        }
    }
}
