//! What each thread does.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use giantvm_dsm::testing::{Disturbances, Failure};
use indicatif::ProgressBar;

use crate::cli::Cli;

/// What all threads share.
pub(crate) struct Soak<'a> {
    pub(crate) cli: &'a Cli,
    pub(crate) seeds: Option<Vec<u64>>,
    pub(crate) next: AtomicU64,
    pub(crate) end: u64,
    pub(crate) start: Instant,
    pub(crate) until: Option<Instant>,
    pub(crate) done: AtomicU64,
    pub(crate) steps: AtomicU64,
    pub(crate) failure: Mutex<Option<Failure>>,
    pub(crate) bar: ProgressBar,
}

impl Soak<'_> {
    /// Checks one seed after the other until there is none, no time, or one has failed.
    pub(crate) fn work(&self) {
        while self.failure.lock().is_ok_and(|failure| failure.is_none()) {
            let late = self.until.is_some_and(|until| Instant::now() >= until);
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            if late || place >= self.end {
                return;
            }
            let listed = |seeds: &Vec<u64>| seeds.get(usize::try_from(place).ok()?).copied();
            let seed = self.seeds.as_ref().and_then(listed).unwrap_or(place);
            if let Err(failure) = self.check(seed)
                && let Ok(mut first) = self.failure.lock()
            {
                first.get_or_insert(failure);
            }
            self.done.fetch_add(1, Ordering::Relaxed);
            let steps = self.steps.load(Ordering::Relaxed) as f64;
            let speed = steps / self.start.elapsed().as_secs_f64();
            self.bar.set_message(format!("{speed:.0} steps/s"));
            self.bar.inc(1);
        }
    }

    fn check(&self, seed: u64) -> Result<(), Failure> {
        for kind in [
            Disturbances::default(),
            Disturbances::LIVELY,
            Disturbances::DEADLY,
        ] {
            let report = self.cli.protocol.check(seed, self.cli.accesses, kind)?;
            self.steps.fetch_add(report.steps, Ordering::Relaxed);
        }
        Ok(())
    }
}
