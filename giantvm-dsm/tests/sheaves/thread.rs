//! What a simulated thread does.

use std::collections::VecDeque;

use giantvm_core::PageIndex;
use giantvm_dsm::backing::sim::{Attempt, SimMemory};
use rand::Rng;
use rand::rngs::SmallRng;

use super::{PAGES, WORDS};

/// An access to one word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Op {
    pub(crate) page: PageIndex,
    pub(crate) word: usize,
    pub(crate) stores: bool,
}

/// A thread, with what it has still to do.
#[derive(Debug)]
pub(crate) struct Thread {
    plan: VecDeque<Op>,
    /// How often its page had been woken when its access faulted.
    asleep: Option<u64>,
}

impl Thread {
    /// One that walks through memory and meets others at few pages, by turns.
    pub(crate) fn random(rng: &mut SmallRng, turns: usize) -> Self {
        let mut plan = VecDeque::new();
        for _ in 0..turns {
            let word = rng.random_range(0..WORDS);
            if rng.random_ratio(1, 3) {
                let (first, stores) = (rng.random_range(0..PAGES), rng.random_ratio(1, 3));
                let pages = (first..PAGES.min(first + 24)).map(PageIndex);
                plan.extend(pages.map(|page| Op { page, word, stores }));
                continue;
            }
            let page = PageIndex(rng.random_range(0..3) * PAGES / 3);
            for _ in 0..rng.random_range(1..12) {
                let stores = rng.random();
                plan.push_back(Op { page, word, stores });
            }
        }
        Self { plan, asleep: None }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.plan.is_empty()
    }

    /// Tries what is next, unless the thread sleeps. What it did, with the value that was there.
    pub(crate) fn step(
        &mut self,
        memory: &SimMemory,
        value: u64,
    ) -> Result<Option<(Op, u64)>, String> {
        let Some(&op) = self.plan.front() else {
            return Ok(None);
        };
        let wakes = memory.wakes(op.page);
        if self.asleep == Some(wakes) {
            return Ok(None);
        }
        let attempt = match op.stores {
            true => memory.try_store(op.page, op.word, value),
            false => memory.try_load(op.page, op.word),
        };
        match attempt {
            Attempt::Done(before) => {
                self.plan.pop_front();
                self.asleep = None;
                Ok(Some((op, before)))
            }
            Attempt::Faulted => {
                self.asleep = Some(wakes);
                Ok(None)
            }
            Attempt::Poisoned => Err(format!("poisoned: page {}", op.page)),
        }
    }
}
