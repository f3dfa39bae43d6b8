//! Records what threads read and write under load.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use giantvm_core::PageIndex;
use giantvm_dsm::sync::OwnPages;
use giantvm_dsm::testing::history::{Action, Location, Operation};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

/// Pages: few enough that all nodes fight for them.
const PAGES: usize = 4;
/// Words a page: few enough that threads meet on them.
const WORDS: usize = 4;
/// Most operations before a thread lets the other nodes have its pages.
const RUN: u32 = 20;
/// How likely it is, in percent, that an operation is on the page of the one before.
const STAY: u32 = 60;

/// The shared words.
pub(crate) type Words = [OwnPages<[AtomicU64; WORDS]>; PAGES];

/// What a thread does, in percent. The rest are loads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mix {
    pub swaps: u32,
    pub stores: u32,
}

/// One thread's operations. `number` makes its values and its choices its own.
///
/// The list is all that recording writes, and it is the thread's own: what threads do is ordered
/// by the shared memory alone. Nothing may be moved across what is stronger than relaxed, but a
/// load over an earlier store, as on x86.
pub(crate) fn record(words: &Words, number: u32, operations: u32, mix: Mix) -> Vec<Operation> {
    let mut random = SmallRng::seed_from_u64(number.into());
    let mut done = Vec::with_capacity(operations as usize);
    let (mut page, mut left) = (0, RUN);
    for count in 1..=operations {
        if left == 0 {
            left = random.random_range(1..=RUN);
            thread::sleep(Duration::from_micros(1));
        }
        left -= 1;
        if random.random_range(0..100) >= STAY {
            page = random.random_range(0..PAGES);
        }
        let word = random.random_range(0..WORDS);
        let place = &words[page][word];
        let value = u64::from(number + 1) << 32 | u64::from(count);
        let dice = random.random_range(0..100);
        let action = if dice < mix.swaps {
            let previous = place.swap(value, Ordering::SeqCst);
            Action::Swap { value, previous }
        } else if dice < mix.swaps + mix.stores {
            place.store(value, Ordering::Release);
            Action::Store(value)
        } else {
            Action::Load(place.load(Ordering::Acquire))
        };
        let page = PageIndex(page as u64);
        let word = u32::try_from(word).expect("a word of a page");
        let location = Location { page, word };
        done.push(Operation { location, action });
    }
    done
}
