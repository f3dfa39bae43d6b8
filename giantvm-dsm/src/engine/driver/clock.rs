//! Where a driver's time comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::Driver;
use crate::protocol::{CoherenceProtocol, Tick};

/// The time since a driver was put together, or what it is told.
#[derive(Debug)]
pub(super) struct Clock {
    origin: Instant,
    told: Option<Arc<AtomicU64>>,
}

impl Clock {
    /// The host's.
    pub(super) fn host() -> Self {
        Self {
            origin: Instant::now(),
            told: None,
        }
    }

    /// When the host's clock was zero.
    pub(super) const fn origin(&self) -> Instant {
        self.origin
    }

    pub(super) fn now(&self) -> Tick {
        match &self.told {
            Some(told) => Tick(told.load(Ordering::Relaxed)),
            None => Tick(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)),
        }
    }
}

impl<P: CoherenceProtocol> Driver<P> {
    /// Takes the time from `nanoseconds`, which whoever feeds the driver moves on, in place of the host's
    /// clock: for runs that can be repeated. How long faults took is measured all the same.
    #[must_use]
    pub fn told_time(mut self, nanoseconds: Arc<AtomicU64>) -> Self {
        self.clock.told = Some(nanoseconds);
        self
    }
}
