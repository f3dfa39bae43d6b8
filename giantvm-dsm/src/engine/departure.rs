//! How fast a node leaves, and how it is asked to.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use giantvm_core::NodeId;

use super::primitives::{Arc, Condvar, Mutex};
use crate::protocol::{CannotDepart, Tick};

/// Most pages that are told to go and are not gone: as many as keep a fast link busy.
pub(super) const MOST_GOING: u64 = 256;
/// How often a node that leaves goes on with it.
const PERIOD: Duration = Duration::from_millis(1);

/// Bytes of pages a second that a departure may take, in each direction; about, as a page counts when
/// it is told to go.
///
/// Pages that others read are counted once, and may travel twice: first to the node that leaves, so
/// that no one else has to be told where they are, then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bandwidth(pub u64);

impl Bandwidth {
    /// No bound but that of what may be under way.
    pub const UNBOUNDED: Self = Self(u64::MAX);
}

/// A node was not told to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DepartError {
    /// It cannot, or not now.
    #[error(transparent)]
    Cannot(#[from] CannotDepart),
    /// Too many threads ask for things at once, or the pump has ended.
    #[error("the pump did not answer")]
    Busy,
}

/// When a node that leaves goes on, and with how many pages.
#[derive(Debug)]
pub(super) struct Pace {
    page_bytes: u64,
    bandwidth: Bandwidth,
    /// Most pages that are told to go and are not gone.
    most: u64,
    next: Tick,
    /// Bytes that may travel now, at most those of [`PERIOD`] and a page.
    credit: u64,
}

impl Pace {
    pub(super) const fn new(page_bytes: u64, bandwidth: Bandwidth, most: u64, now: Tick) -> Self {
        Self {
            page_bytes,
            bandwidth,
            most,
            next: now,
            credit: 0,
        }
    }

    /// With how many pages to go on at `now`, when so many are `going`; `None` if it is not time.
    pub(super) fn due(&mut self, now: Tick, going: u64) -> Option<u32> {
        if now < self.next {
            return None;
        }
        let period = nanos(PERIOD);
        let late = now.0 - self.next.0;
        self.next = Tick(now.0.saturating_add(period));
        // What was missed is not made up for, but for one more period.
        let since = u128::from(period + late.min(period));
        let earned = u128::from(self.bandwidth.0) * since / 1_000_000_000;
        let most = (u128::from(self.bandwidth.0) * 2 * u128::from(period) / 1_000_000_000)
            .max(u128::from(self.page_bytes));
        let credit = (u128::from(self.credit) + earned).min(most);
        let pages = credit / u128::from(self.page_bytes);
        let room = u128::from(self.most.saturating_sub(going));
        let pages = pages.min(room);
        let left = credit - pages * u128::from(self.page_bytes);
        self.credit = u64::try_from(left).unwrap_or(u64::MAX);
        Some(u32::try_from(pages).unwrap_or(u32::MAX))
    }

    /// How long until it is time again.
    pub(super) const fn left(&self, now: Tick) -> Duration {
        Duration::from_nanos(self.next.0.saturating_sub(now.0))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What a node is asked by [`Dsm::depart`](super::Dsm::depart).
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) heir: NodeId,
    pub(super) bandwidth: Bandwidth,
    pub(super) reply: Reply,
}

/// The wish that the pump is to take up next.
#[derive(Debug, Clone, Default)]
pub(super) struct Wishes(Arc<Mutex<Option<Wish>>>);

impl Wishes {
    /// Leaves a wish for the pump; `false` if it has not taken up an earlier one.
    #[must_use]
    pub(super) fn put(&self, wish: Wish) -> bool {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = place.is_none();
        if free {
            *place = Some(wish);
        }
        free
    }

    pub(super) fn take(&self) -> Option<Wish> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What a pump says to it, once it has.
type Answer = Option<Result<(), CannotDepart>>;

/// The one answer to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Reply(Arc<(Mutex<Answer>, Condvar)>);

impl Reply {
    pub(super) fn give(&self, answer: Result<(), CannotDepart>) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.0.1.notify_all();
    }

    pub(super) fn wait(&self, patience: Duration) -> Result<(), DepartError> {
        let deadline = Instant::now() + patience;
        let mut answer = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(answer) = *answer {
                return Ok(answer?);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(DepartError::Busy);
            }
            let waited = self.0.1.wait_timeout(answer, left);
            answer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_bound_only_what_is_under_way_bounds_a_departure() {
        let mut pace = Pace::new(4096, Bandwidth::UNBOUNDED, MOST_GOING, Tick(0));
        assert_eq!(pace.due(Tick(0), 0), Some(256));
        assert_eq!(pace.due(Tick(10), 0), None);
        assert_eq!(pace.left(Tick(10)), Duration::from_nanos(999_990));
        assert_eq!(pace.due(Tick(1_000_000), 250), Some(6));
        assert_eq!(pace.due(Tick(9_000_000), 300), Some(0));
    }

    #[test]
    fn a_bandwidth_of_less_than_a_page_a_period_still_gets_on() {
        let mut pace = Pace::new(4096, Bandwidth(4096), MOST_GOING, Tick(0));
        let pages: u32 = (0..4000)
            .filter_map(|ms| pace.due(Tick(ms * 1_000_000), 0))
            .sum();
        assert!((3..=4).contains(&pages), "{pages}");
    }

    proptest! {
        #[test]
        fn no_more_pages_go_than_the_bandwidth_and_two_periods_allow(
            bandwidth in 1..1_u64 << 40,
            steps in prop::collection::vec(0..5_000_000_u64, 1..200),
        ) {
            let mut pace = Pace::new(4096, Bandwidth(bandwidth), MOST_GOING, Tick(0));
            let (mut now, mut pages) = (0, 0_u128);
            for step in steps {
                now += step;
                pages += u128::from(pace.due(Tick(now), 0).unwrap_or(0));
            }
            let time = u128::from(now) + 3_000_000;
            let allowed = u128::from(bandwidth) * time / 1_000_000_000 + 4096;
            prop_assert!(pages * 4096 <= allowed, "{} of {}", pages * 4096, allowed);
        }
    }
}
