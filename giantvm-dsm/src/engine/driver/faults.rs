//! Faults of local threads, and what they say of the faults to come.

use super::Driver;
use crate::backing::{BackingError, Fault};
use crate::protocol::{CoherenceProtocol, Input};

/// Most pages under way that were asked for ahead of time: as many as keep a fast link busy, and no more,
/// as pages that a thread waits for come behind them.
pub(super) const MOST_COMING: usize = 64;
/// How many more there have to be room for, so that they are asked for together.
const RUN: usize = 16;

impl<P: CoherenceProtocol> Driver<P> {
    /// Feeds a local fault.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn fault(&mut self, fault: Fault) -> Result<(), BackingError> {
        let page = fault.page;
        self.kept.faulted(fault, self.now());
        self.heat.faulted(page, fault.access);
        let before = self.protocol.rights(page);
        let access = self.migratory.faulted(page, fault.access, before);
        if access != fault.access {
            self.outlet.count(|stats| stats.guesses += 1);
        }
        self.outlet.awaits(fault, access, before);
        self.give(Input::Fault { page, access })?;
        // Before anything is asked for ahead.
        self.outlet.flush();
        self.ahead.faulted(page, access);
        let used = self.ahead.used();
        if used > 0 {
            self.outlet.count(|stats| stats.read_ahead_used += used);
        }
        self.flush()
    }

    /// Asks for pages that no thread waits for yet, if not too much is under way.
    pub(super) fn read_ahead(&mut self) -> Result<(), BackingError> {
        loop {
            let room = MOST_COMING.saturating_sub(self.coming.len());
            if room < RUN {
                return Ok(());
            }
            let Some((wish, access)) = self.ahead.more(room as u64) else {
                return Ok(());
            };
            for page in wish.pages(self.backing.pages()) {
                let held = self.protocol.rights(page);
                let coming = self.protocol.in_flight();
                if held.is_none() && self.has_room(page, coming) {
                    self.outlet.count(|stats| stats.read_ahead += 1);
                    self.coming.insert(page);
                    self.give(Input::Fault { page, access })?;
                }
            }
        }
    }
}
