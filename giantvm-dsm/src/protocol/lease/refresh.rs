//! Looking after leases in physical time, so that a copy which is read again and again does not
//! show the past for ever.

use giantvm_core::{PageIndex, Stamp};

use super::leases::Held;
use super::table::State;
use super::{Lease, Out};
use crate::protocol::{Access, Command, FrameFate, Tick};

impl Lease {
    /// Notes a lease of a page that is mapped. `before` is the one it follows, if that was
    /// refreshed, and whether its bytes were replaced.
    pub(super) fn hold(
        &mut self,
        now: Tick,
        page: PageIndex,
        end: Stamp,
        before: Option<(Held, bool)>,
    ) {
        let (refreshes, doublings) = match before {
            None => (0, 0),
            Some((held, true)) => (held.refreshes, 0),
            Some((held, false)) => (
                held.refreshes,
                (held.doublings + 1).min(Self::SLOWEST_REFRESH),
            ),
        };
        let time = self
            .refresh
            .map(|first| first.0.saturating_mul(1 << doublings));
        let due = time.map(|time| Tick(now.0.saturating_add(time)));
        let held = Held {
            end,
            due,
            refreshes,
            doublings,
        };
        self.leases.insert(page, held);
    }

    /// When the next lease is to be refreshed.
    pub(super) fn next_refresh(&self) -> Option<Tick> {
        let due = self.leases.first_due();
        due.filter(|_| self.refreshing < Self::MOST_REFRESHES)
    }

    /// Asks for what is new in the pages whose turn it is. A copy that no thread may be using any
    /// more is unmapped instead: if one does, it faults.
    pub(super) fn refresh_due(&mut self, now: Tick, out: &mut Out) {
        while self.refreshing < Self::MOST_REFRESHES {
            let Some((page, held)) = self.leases.pop_due(now) else {
                return;
            };
            if self.pending.contains_key(&page) {
                // The answer to that is as good.
                continue;
            }
            if held.refreshes == Self::IDLE_REFRESHES {
                self.leases.remove(page);
                self.end_lease(page, out);
                continue;
            }
            let refreshes = held.refreshes + 1;
            self.leases.insert(page, Held { refreshes, ..held });
            self.request(now, page, Access::Read, 0, false, out);
        }
    }

    /// Moves the clock, if it is behind, and ends the leases that do not go so far.
    ///
    /// Past the last time the node stops: whatever could be granted after it could not be told
    /// from what was granted at it.
    pub(super) fn advance(&mut self, to: Stamp, out: &mut Out) {
        if to <= self.clock {
            return;
        }
        self.clock = to;
        self.halted |= to > Self::LAST;
        while let Some(page) = self.leases.pop_ended(to) {
            self.end_lease(page, out);
        }
    }

    /// Unmaps a copy whose lease was removed, and keeps the bytes: they may be leased again.
    fn end_lease(&mut self, page: PageIndex, out: &mut Out) {
        let frame = FrameFate::Retain;
        out.push(Command::Unmap { page, frame });
        self.table.set_state(page, State::Retained);
    }
}
