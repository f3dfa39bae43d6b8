//! How fast pages arrive from a peer when many come in a row: pure, time is an argument.
//!
//! One page says nothing of the link, as its time is mostly that of the request. But pages that were
//! asked for ahead come one after the other, as fast as the link and the peer can. What arrives in a
//! run, without its first page, through the time that it took, is a rate; the link is at least that
//! fast. So the fastest run of late counts: a slow run may have been a slow peer.

use std::time::Duration;

use super::worth::Rate;

/// Who is silent for longer begins a new run.
const PAUSE: Duration = Duration::from_micros(500);
/// Pages of a run that counts.
const RUN: u32 = 16;

/// What is known of the link from one peer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Speed {
    start: Duration,
    last: Duration,
    pages: u32,
    bytes: usize,
    fastest: Option<Rate>,
}

impl Speed {
    /// A page arrived, in so many bytes.
    pub(super) fn arrived(&mut self, now: Duration, bytes: usize) {
        if self.pages == 0 || now.saturating_sub(self.last) > PAUSE {
            (self.start, self.pages, self.bytes) = (now, 0, 0);
        } else {
            self.bytes += bytes;
        }
        (self.last, self.pages) = (now, self.pages + 1);
        if self.pages <= RUN {
            return;
        }
        let took = (now - self.start).as_nanos().max(1);
        let rate = self.bytes as u128 * 1_000_000_000 / took;
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        // A link that was fast once may be shared now: what it was fades.
        let before = self.fastest.map_or(0, |Rate(before)| before - before / 16);
        self.fastest = Some(Rate(rate.max(before)));
        self.pages = 0;
    }

    /// The rate of the fastest run of late.
    pub(super) const fn rate(&self) -> Option<Rate> {
        self.fastest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many pages of 4 KiB, one every `gap` microseconds. When the last one came.
    fn run(speed: &mut Speed, start: Duration, pages: u32, gap: u64) -> Duration {
        let at = |page| start + Duration::from_micros(gap) * page;
        (0..pages).for_each(|page| speed.arrived(at(page), 4096));
        at(pages)
    }

    #[test]
    fn pages_that_come_alone_say_nothing_of_the_link() {
        let mut speed = Speed::default();
        run(&mut speed, Duration::ZERO, 100, 1_000);
        assert_eq!(speed.rate(), None);
        run(&mut speed, Duration::from_secs(9), RUN, 10);
        assert_eq!(speed.rate(), None, "a run of too few");
    }

    #[test]
    fn a_run_says_how_fast_it_came() {
        let mut speed = Speed::default();
        run(&mut speed, Duration::ZERO, RUN + 1, 32);
        assert_eq!(speed.rate(), Some(Rate(128_000_000)));
    }

    #[test]
    fn a_slow_run_after_a_fast_one_counts_for_little_and_many_for_more() {
        let mut speed = Speed::default();
        let mut now = run(&mut speed, Duration::ZERO, RUN + 1, 4);
        now = run(&mut speed, now + PAUSE * 2, RUN + 1, 32);
        assert_eq!(speed.rate(), Some(Rate(960_000_000)));
        for _ in 0..40 {
            now = run(&mut speed, now + PAUSE * 2, RUN + 1, 32);
        }
        assert_eq!(speed.rate(), Some(Rate(128_000_000)));
    }
}
