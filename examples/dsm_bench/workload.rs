//! What the nodes do with their memory.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::bail;
use giantvm_core::{GuestAddress, PageSize};
use giantvm_dsm::view::DsmMemory;
use serde::{Deserialize, Serialize};
use vm_memory::Bytes as _;

use crate::far::{Answer, Order};
use crate::pair::Node;
use crate::place;
use crate::sample::Times;

/// Some pages in some order.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Walk {
    /// How many pages are visited.
    pub(crate) count: u64,
    /// Of how many pages.
    of: u64,
    /// From which page on.
    first: u64,
    order: Pattern,
}

/// In which order pages are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Pattern {
    Forward,
    Backward,
    /// Forward, and so many pages on each time.
    Every(u8),
    /// None, but on every node the same.
    Scattered,
    /// None either, and one page of each [`GAP`]: too few of a neighbourhood to ask for the rest unasked.
    Apart,
}

/// Of how many pages one is visited in a walk whose pages lie apart.
const GAP: u64 = 16;

impl Walk {
    /// `count` pages of `of`, none twice.
    pub(crate) const fn new(count: u64, of: u64, order: Pattern) -> Self {
        Self {
            count,
            of,
            first: 0,
            order,
        }
    }

    /// All pages in order.
    pub(crate) const fn in_order(count: u64) -> Self {
        Self::new(count, count, Pattern::Forward)
    }

    /// Pages without a pattern.
    pub(crate) const fn scattered(count: u64, of: u64) -> Self {
        Self::new(count, of, Pattern::Scattered)
    }

    /// Pages of which nothing says which is next, so that each is a fault of its own.
    pub(crate) const fn apart(count: u64) -> Self {
        Self::new(count, Self::room(count), Pattern::Apart)
    }

    /// How many pages `count` pages that lie apart are taken from.
    pub(crate) const fn room(count: u64) -> u64 {
        count * GAP
    }

    /// The same, so many pages further on.
    pub(crate) const fn from(self, first: u64) -> Self {
        Self { first, ..self }
    }

    /// One page of those that it is taken from.
    pub(crate) const fn only(self, page: u64) -> Self {
        Self::in_order(1).from(self.first + page)
    }

    pub(crate) fn addresses(self) -> Vec<GuestAddress> {
        let mut pages: Vec<u64> = match self.order {
            Pattern::Forward | Pattern::Scattered => (0..self.of).collect(),
            Pattern::Backward => (0..self.of).rev().collect(),
            Pattern::Every(step) => (0..self.of).step_by(step.max(1).into()).collect(),
            Pattern::Apart => (0..self.count).map(|page| page * GAP).collect(),
        };
        if matches!(self.order, Pattern::Scattered | Pattern::Apart) {
            pages.sort_by_cached_key(|page| {
                let mut hasher = DefaultHasher::new();
                page.hash(&mut hasher);
                hasher.finish()
            });
        }
        let pages = pages
            .into_iter()
            .take(usize::try_from(self.count).unwrap_or(usize::MAX));
        pages
            .map(|page| GuestAddress((self.first + page) * PageSize::K4.bytes() as u64))
            .collect()
    }
}

/// What a node made of a time of writing.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Writer {
    /// How often the page came to it.
    pub(crate) handovers: u64,
    /// How many of its writes had to wait: one write may wait for a page that comes and goes.
    pub(crate) waits: u64,
    /// Its longest wait for the page in microseconds.
    pub(crate) longest_us: f64,
}

/// What is done to each page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    Load,
    Store,
}

/// Longer than a write takes for which nothing is missing, and shorter than any fault.
const WAIT: Duration = Duration::from_micros(5);

const FIRST: GuestAddress = GuestAddress(0);

/// Touches each of `pages` once.
pub(crate) fn touch_each(
    memory: &DsmMemory,
    pages: &[GuestAddress],
    touch: Touch,
) -> anyhow::Result<Times> {
    let mut times = Times::default();
    for &at in pages {
        match touch {
            Touch::Load => times
                .time(|| memory.load::<u64>(at, Ordering::Relaxed))
                .map(|_| ()),
            Touch::Store => times.time(|| memory.store(at.0, at, Ordering::Relaxed)),
        }?;
    }
    Ok(times)
}

impl Node {
    pub(crate) fn obey(&self, order: Order) -> anyhow::Result<Answer> {
        match order {
            Order::Own(walk) => self.touch(walk, Touch::Store).map(|_| Answer::Done),
            Order::Update(walk) => self.update(walk).map(|_| Answer::Done),
            Order::Share(walk) => self.touch(walk, Touch::Load).map(|_| Answer::Done),
            Order::Turns(turns) => self.turns(turns, 1).map(|()| Answer::Done),
            Order::Write(millis) => self.write(Duration::from_millis(millis)).map(Answer::Wrote),
            Order::Worked => Ok(Answer::Worked(place::worked().as_secs_f64())),
            Order::Level(_) | Order::Sent | Order::Notes => bail!("this node keeps no record"),
        }
    }

    /// Touches each page once.
    pub(crate) fn touch(&self, walk: Walk, touch: Touch) -> anyhow::Result<Times> {
        self.touch_each(&walk.addresses(), touch)
    }

    /// Loads from each page and then stores to it.
    pub(crate) fn update(&self, walk: Walk) -> anyhow::Result<Times> {
        let mut times = Times::default();
        for at in walk.addresses() {
            times.time(|| {
                let value: u64 = self.memory.load(at, Ordering::Relaxed)?;
                self.memory
                    .store(value.wrapping_add(1), at, Ordering::Relaxed)
            })?;
        }
        Ok(times)
    }

    /// The same, of pages that are named.
    pub(crate) fn touch_each(&self, pages: &[GuestAddress], touch: Touch) -> anyhow::Result<Times> {
        touch_each(&self.memory, pages, touch)
    }

    /// Loads each page of `walk` once, `threads` at a time; loads a second.
    pub(crate) fn load_by(&self, walk: Walk, threads: usize) -> anyhow::Result<f64> {
        let addresses = walk.addresses();
        let start = Instant::now();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads)
                .map(|first| {
                    let mut addresses = addresses.iter().skip(first).step_by(threads);
                    scope.spawn(move || {
                        let load = |at| self.memory.load::<u64>(at, Ordering::Relaxed);
                        addresses.try_for_each(|&at| load(at).map(|_| ()))
                    })
                })
                .collect();
            let mut joined = threads.into_iter().map(|thread| thread.join());
            joined.try_for_each(|thread| thread.expect("it does not panic"))
        })?;
        Ok(walk.count as f64 / start.elapsed().as_secs_f64())
    }

    /// Prepares the word that is written in turn.
    pub(crate) fn prepare_turns(&self) -> anyhow::Result<()> {
        Ok(self.memory.store(0_u64, FIRST, Ordering::Release)?)
    }

    /// Two nodes write a word in turn, each when it has seen that the other did.
    pub(crate) fn turns(&self, turns: u64, own: u64) -> anyhow::Result<()> {
        for turn in 0..turns {
            let expected = 2 * turn + own;
            while self.memory.load::<u64>(FIRST, Ordering::Acquire)? != expected {
                std::thread::yield_now();
            }
            self.memory.store(expected + 1, FIRST, Ordering::Release)?;
        }
        Ok(())
    }

    /// Writes this node's own word of the first page, again and again.
    pub(crate) fn write(&self, time: Duration) -> anyhow::Result<Writer> {
        let word = GuestAddress(self.number as u64 * 8);
        let before = self.dsm.stats().faults_remote();
        let (start, mut now, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
        let mut waits = 0;
        for count in 0_u64.. {
            self.memory.store(count, word, Ordering::Relaxed)?;
            let took = now.elapsed();
            longest = longest.max(took);
            waits += u64::from(took > WAIT);
            now = Instant::now();
            if now - start >= time {
                break;
            }
        }
        Ok(Writer {
            handovers: self.dsm.stats().faults_remote() - before,
            waits,
            longest_us: longest.as_secs_f64() * 1e6,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_walk_visits_no_page_twice_and_none_outside() {
        for of in [1_u64, 2, 3, 5, 8, 100, 255, 256, 1000] {
            for (order, count) in [
                (Pattern::Forward, of),
                (Pattern::Backward, of),
                (Pattern::Every(3), of.div_ceil(3)),
                (Pattern::Scattered, of),
            ] {
                let pages = Walk::new(of, of, order).from(10).addresses();
                let pages: BTreeSet<_> = pages.into_iter().map(|at| at.0 / 4096).collect();
                assert_eq!(pages.len() as u64, count, "{order:?} of {of}");
                assert!(pages.iter().all(|page| (10..10 + of).contains(page)));
            }
        }
    }

    #[test]
    fn pages_that_lie_apart_are_each_alone_in_their_neighbourhood() {
        let pages = Walk::apart(100).from(16).addresses();
        let pages: BTreeSet<_> = pages.into_iter().map(|at| at.0 / 4096 / GAP).collect();
        assert_eq!(pages, (1..101).collect());
    }
}
