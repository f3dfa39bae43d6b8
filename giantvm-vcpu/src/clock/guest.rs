//! The clock that devices and thread vCPUs read.

use std::sync::Mutex;
use std::time::Instant;

use super::{Estimate, Nanos, Probe, Reply, Steering};

/// One node's guest time: nanoseconds since the reference node made its clock.
///
/// Monotonic over all threads of the node. Made for a clock device, which serves it to guests whose
/// time-stamp counters cannot be shifted.
#[derive(Debug)]
pub struct GuestClock {
    origin: Instant,
    steering: Mutex<Steering>,
}

impl GuestClock {
    /// A clock that starts now. That of the reference node is never corrected; that of any other
    /// node means nothing until it was [corrected](Self::correct) once.
    #[must_use]
    pub fn new() -> Self {
        let (origin, steering) = (Instant::now(), Mutex::default());
        Self { origin, steering }
    }

    /// The own, never corrected time, for an [`OffsetEstimator`](super::OffsetEstimator).
    #[must_use]
    pub fn local(&self) -> Nanos {
        Nanos(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Guest time.
    ///
    /// # Panics
    /// Never: nothing panics while it holds the clock's lock.
    #[must_use]
    pub fn now(&self) -> Nanos {
        let steering = self.steering.lock().expect("no panic under this lock");
        // Read under the lock, so that one thread's later call cannot see an earlier time.
        steering.read(self.local())
    }

    /// Applies an estimate of what to add to [`local`](Self::local) time.
    ///
    /// # Panics
    /// Never: nothing panics while it holds the clock's lock.
    pub fn correct(&self, estimate: &Estimate) {
        let mut steering = self.steering.lock().expect("no panic under this lock");
        steering.correct(self.local(), estimate);
    }

    /// The reference's answer to a question that came just now.
    #[must_use]
    pub fn answer(&self, probe: Probe) -> Reply {
        let now = self.now();
        let (received, replied) = (now, now);
        Reply {
            probe,
            received,
            replied,
        }
    }
}

impl Default for GuestClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_reach_readers() {
        let clock = GuestClock::new();
        let hour = 3_600_000_000_000;
        let (error, at) = (0, clock.local());
        clock.correct(&Estimate {
            offset: hour,
            error,
            at,
        });
        let before = clock.now();
        assert!(before.0 >= hour.cast_unsigned());
        clock.correct(&Estimate {
            offset: 0,
            error,
            at,
        });
        assert!(clock.now() >= before, "not backwards, even by an hour");
    }
}
