//! What the algorithms are built from. Under model checking something else takes its place.

pub(super) use std::sync::atomic::{AtomicU32, Ordering};

use std::hint;
use std::thread;
use std::time::Duration;

/// How often to look before the first sleep.
const SPINS: u32 = 64;
/// The first sleep.
const SHORTEST: Duration = Duration::from_micros(4);
/// The longest sleep.
const LONGEST: Duration = Duration::from_millis(1);

/// Paces someone who waits for a word to change.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    spins: u32,
    slept: Duration,
}

impl Backoff {
    /// Lets some time pass, more each time.
    pub(super) fn pause(&mut self) {
        if self.spins < SPINS {
            self.spins += 1;
            hint::spin_loop();
        } else {
            self.slept = (self.slept * 2).clamp(SHORTEST, LONGEST);
            thread::sleep(self.slept);
        }
    }
}
