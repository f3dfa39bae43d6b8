//! Words that nobody waits for, and that go with the next ones to the same node.
//!
//! When a page has come and is mapped, its home is told so. Over a network that costs a system call of
//! some microseconds, in which the pump keeps the processor from the thread that it just woke, and as
//! much for the home to read it. The next fault of a thread often says something to the same node, and
//! soon. So such a word, which the protocol [names](crate::protocol::Command::Linger), waits for company:
//!
//! | it goes | because |
//! |---|---|
//! | with the next letter to the same node | that is company |
//! | when anything comes from that node | it may wait for the word: a home says so to who keeps a page from others |
//! | when [`LONGEST`] is over and the pump is awake | no company came; a pump is awake every [heartbeat](giantvm_transport::Transport), if not for anything else |
//! | when the node stops | nothing comes any more |
//!
//! For a pump that sleeps no timer is set. On a virtual machine that costs as much as sending the word, and
//! twice that with the waking.
//!
//! Which words these are the protocol knows, and so whom it has to ask for them. Between nodes that [share memory](giantvm_transport::Transport::adjacent) a word costs a fraction of a
//! microsecond, and does not wait either.

use std::time::Duration;

use super::Driver;
use crate::backing::BackingError;
use crate::protocol::{CoherenceProtocol, Input, Tick};

/// How long a word waits for company, in nanoseconds: about as long as a fault over a network takes.
const LONGEST: u64 = 40_000;

/// Until when a word may wait that is said `now`.
pub(super) fn until(now: Tick) -> Tick {
    Tick(now.0.saturating_add(LONGEST))
}

impl<P: CoherenceProtocol> Driver<P> {
    /// Lets words that nobody waits for wait for others to the same node, or not, as at first. Who feeds
    /// the driver has to [tick](Self::tick) then, and to [say all](Self::say_all) in the end.
    #[must_use]
    pub const fn lingering(mut self, lingers: bool) -> Self {
        self.lingers = lingers;
        self
    }

    /// Sends what waits for company.
    pub fn say_all(&mut self) {
        self.outlet.flush_all();
    }

    /// Does what is due: feeds a time-out, and sends what waited for company. Returns how long until the
    /// next time-out. For what still waits no one has to come back: a timer costs more than the words.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn tick(&mut self) -> Result<Option<Duration>, BackingError> {
        let timeout = self.feed_timeout()?;
        if self.outlet.is_lingering() {
            let now = self.now();
            self.outlet.send_late(now);
        }
        Ok(timeout)
    }

    /// Feeds the time-out that is due, if one is. Returns how long until the next one.
    fn feed_timeout(&mut self) -> Result<Option<Duration>, BackingError> {
        let due = self.protocol.next_timeout();
        if due.is_none() && !self.kept.is_holding() && !self.heat.has_notes() {
            return Ok(None);
        }
        let now = self.now();
        self.heat.count(now);
        match due {
            _ if !self.pins.is_empty() => Ok(self.kept.next(now)),
            Some(due) if due <= now => {
                if let Some(at) = self.stays(due, now) {
                    return Ok(Some(Duration::from_nanos(at.0.saturating_sub(now.0))));
                }
                self.feed(Input::Timeout)?;
                Ok(Some(Duration::ZERO))
            }
            Some(due) => Ok(Some(Duration::from_nanos(due.0 - now.0))),
            None => Ok(None),
        }
    }
}
