//! What the nodes do with their memory.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use giantvm_core::{GuestAddress, PageSize};
use serde::{Deserialize, Serialize};
use vm_memory::Bytes as _;

use crate::far::Order;
use crate::pair::Node;
use crate::sample::Times;

/// Some pages in some order.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Walk {
    /// How many pages are visited.
    pub(crate) count: u64,
    /// Of how many pages from the first.
    pub(crate) of: u64,
    scattered: bool,
}

impl Walk {
    /// All pages in order.
    pub(crate) const fn in_order(count: u64) -> Self {
        Self {
            count,
            of: count,
            scattered: false,
        }
    }

    /// Pages without a pattern, none twice, so that nothing can be read ahead. On every node the
    /// same.
    pub(crate) const fn scattered(count: u64, of: u64) -> Self {
        Self {
            count,
            of,
            scattered: true,
        }
    }

    fn addresses(self) -> Vec<GuestAddress> {
        let mut pages: Vec<u64> = (0..self.of).collect();
        if self.scattered {
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
            .map(|page| GuestAddress(page * PageSize::K4.bytes() as u64))
            .collect()
    }
}

/// What a node made of a time of writing.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Writer {
    /// How often the page came to it.
    pub(crate) handovers: u64,
    /// Its longest wait for the page in microseconds.
    pub(crate) longest_us: f64,
}

/// What is done to each page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    Load,
    Store,
}

const FIRST: GuestAddress = GuestAddress(0);

impl Node {
    pub(crate) fn obey(&self, order: Order) -> anyhow::Result<Writer> {
        match order {
            Order::Own(walk) => self.touch(walk, Touch::Store).map(|_| Writer::default()),
            Order::Turns(turns) => self.turns(turns, 1).map(|()| Writer::default()),
            Order::Write(millis) => self.write(Duration::from_millis(millis)),
        }
    }

    /// Touches each page once.
    pub(crate) fn touch(&self, walk: Walk, touch: Touch) -> anyhow::Result<Times> {
        let mut times = Times::default();
        for at in walk.addresses() {
            match touch {
                Touch::Load => times
                    .time(|| self.memory.load::<u64>(at, Ordering::Relaxed))
                    .map(|_| ()),
                Touch::Store => times.time(|| self.memory.store(at.0, at, Ordering::Relaxed)),
            }?;
        }
        Ok(times)
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
        for count in 0_u64.. {
            self.memory.store(count, word, Ordering::Relaxed)?;
            longest = longest.max(now.elapsed());
            now = Instant::now();
            if now - start >= time {
                break;
            }
        }
        Ok(Writer {
            handovers: self.dsm.stats().faults_remote() - before,
            longest_us: longest.as_secs_f64() * 1e6,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_scattered_walk_visits_no_page_twice_and_none_outside() {
        for of in [1, 2, 3, 5, 8, 100, 255, 256, 1000] {
            let pages = Walk::scattered(of, of).addresses();
            let pages: BTreeSet<_> = pages.into_iter().collect();
            assert_eq!(pages.len() as u64, of);
            assert!(pages.iter().all(|address| address.0 < of * 4096));
        }
    }
}
