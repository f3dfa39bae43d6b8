//! How far the own clock is from the reference's.

use std::collections::VecDeque;

use super::{Nanos, Probe, Reply};

/// Samples that are kept.
const WINDOW: usize = 16;
/// Questions that may be open at a time; older ones count as lost.
const OPEN: usize = 8;
/// How fast two clocks drift apart at most, in nanoseconds a millisecond: quartz oscillators are
/// within 100 parts in a million each.
const DRIFT_PER_MS: u64 = 200;
const MS: u64 = 1_000_000;
/// The first questions follow one another faster, to fill the window.
const FAST: (u32, u64) = (8, 2 * MS);
/// The time between two questions later. At the greatest drift the clocks part by 20 microseconds
/// meanwhile, less than a round trip of most networks.
const INTERVAL: u64 = 100 * MS;

/// What the estimator thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// What to add to the own time to get guest time, in nanoseconds.
    pub offset: i64,
    /// How far `offset` can be wrong, in nanoseconds: half a round trip and the drift since.
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
    offset: i64,
    /// Half the round trip.
    error: u64,
    at: Nanos,
}

impl Sample {
    fn error_at(&self, now: Nanos) -> u64 {
        let age = now.0.saturating_sub(self.at.0);
        self.error
            .saturating_add(age.div_ceil(MS).saturating_mul(DRIFT_PER_MS))
    }
}

/// Estimates the offset to the reference's clock from questions and answers, as NTP does: the
/// offset of one exchange is wrong by at most half the time it was under way, and of the last
/// exchanges the one counts that was the fastest, less what drift can have made of it since.
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
        Ok(self.estimate(now).unwrap_or(Estimate {
            offset: sample.offset,
            error: sample.error,
            at: now,
        }))
    }

    /// What is known now; `None` before the first answer.
    #[must_use]
    pub fn estimate(&self, now: Nanos) -> Option<Estimate> {
        let best = self
            .samples
            .iter()
            .min_by_key(|sample| sample.error_at(now))?;
        let (offset, error) = (best.offset, best.error_at(now));
        Some(Estimate {
            offset,
            error,
            at: now,
        })
    }
}

fn sample(now: Nanos, reply: &Reply) -> Option<Sample> {
    let total = now.0.checked_sub(reply.probe.sent.0)?;
    let there = reply.replied.0.checked_sub(reply.received.0)?;
    let round_trip = total.checked_sub(there)?;
    let out = i128::from(reply.received.0) - i128::from(reply.probe.sent.0);
    let back = i128::from(reply.replied.0) - i128::from(now.0);
    let offset = i64::try_from((out + back) / 2).ok()?;
    let error = round_trip.div_ceil(2);
    Some(Sample {
        offset,
        error,
        at: now,
    })
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
