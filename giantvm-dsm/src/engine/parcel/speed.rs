//! How fast pages arrive from a peer when many come in a row: pure, time is an argument.
//!
//! One page says nothing of the link, as its time is mostly that of the request. But pages that were
//! asked for together, ahead of a thread, come one after the other, as fast as the link and the peer
//! can. What arrives while this node asks for nothing more, without the first page, through the time
//! that it took, is a rate; the link is at least that fast. So the fastest run of late counts: a slow
//! run may have been a slow peer.

use std::time::Duration;

use super::worth::Rate;

/// Pages of a run that counts, after the first.
const RUN: u32 = 16;
/// A shorter parcel takes more time on the processors than on the link.
const SHORTEST: usize = 1024;

/// What is known of the link from one peer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Speed {
    /// The requests that this node had sent when the run began.
    asked: u64,
    start: Duration,
    pages: u32,
    bytes: usize,
    fastest: Option<Rate>,
}

impl Speed {
    /// A page arrived, in so many bytes, when this node had `asked` for so many.
    pub(super) fn arrived(&mut self, now: Duration, bytes: usize, asked: u64) {
        if bytes < SHORTEST {
            self.pages = 0;
            return;
        }
        if self.pages == 0 || asked != self.asked {
            (self.start, self.pages, self.bytes, self.asked) = (now, 1, 0, asked);
            return;
        }
        self.bytes += bytes;
        self.pages += 1;
        if self.pages <= RUN {
            return;
        }
        self.pages = 0;
        let took = now.saturating_sub(self.start).as_nanos().max(1);
        let rate = self.bytes as u128 * 1_000_000_000 / took;
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        // A link that was fast once may be shared now: what it was fades.
        let before = self.fastest.map_or(0, |Rate(before)| before - before / 16);
        self.fastest = Some(Rate(rate.max(before)));
    }

    /// The rate of the fastest run of late.
    pub(super) const fn rate(&self) -> Option<Rate> {
        self.fastest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of so many pages of 4 KiB, one every `gap` microseconds, after one more request.
    fn run(speed: &mut Speed, pages: u32, gap: u64) {
        let asked = speed.asked + 1;
        let start = Duration::from_secs(asked);
        for page in 0..pages {
            speed.arrived(start + Duration::from_micros(gap) * page, 4096, asked);
        }
    }

    #[test]
    fn pages_that_were_asked_for_one_after_the_other_say_nothing_of_the_link() {
        let mut speed = Speed::default();
        for asked in 0..100 {
            speed.arrived(Duration::from_micros(asked * 40), 4096, asked);
        }
        assert_eq!(speed.rate(), None);
        run(&mut speed, RUN, 10);
        assert_eq!(speed.rate(), None, "a run of too few");
    }

    #[test]
    fn a_run_says_how_fast_it_came() {
        let mut speed = Speed::default();
        run(&mut speed, RUN + 1, 32);
        assert_eq!(speed.rate(), Some(Rate(128_000_000)));
    }

    #[test]
    fn pages_of_which_little_was_sent_say_nothing_of_the_link() {
        let mut speed = Speed::default();
        for page in 0..100 {
            speed.arrived(Duration::from_micros(page * 10), 88, 0);
        }
        assert_eq!(speed.rate(), None);
    }

    #[test]
    fn a_slow_run_after_a_fast_one_counts_for_little_and_many_for_more() {
        let mut speed = Speed::default();
        run(&mut speed, RUN + 1, 4);
        run(&mut speed, RUN + 1, 32);
        assert_eq!(speed.rate(), Some(Rate(960_000_000)));
        (0..40).for_each(|_| run(&mut speed, RUN + 1, 32));
        assert_eq!(speed.rate(), Some(Rate(128_000_000)));
    }
}
