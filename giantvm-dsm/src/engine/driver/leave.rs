//! The departure of this node: goes on with it at its pace.

use std::time::Duration;

use giantvm_core::NodeId;

use super::Driver;
use crate::backing::BackingError;
use crate::engine::ahead::Ahead;
use crate::engine::budget::MOST_LEAVING;
use crate::engine::departure::{Bandwidth, MOST_GOING, Pace, Wishes};
use crate::protocol::{CannotDepart, CoherenceProtocol, Departing, Departure, Input, Phase};

/// What a driver keeps while its node leaves, and until it comes back.
#[derive(Debug)]
pub(super) struct Leaving {
    pace: Pace,
    /// What asked for pages ahead of threads, which a node that leaves has no use for.
    ahead: Ahead,
}

impl<P: CoherenceProtocol> Driver<P> {
    /// Begins to leave the shared memory in favour of `heir`, at most so fast. Whoever feeds the driver
    /// has to call [`go_on_leaving`](Self::go_on_leaving) from then on.
    ///
    /// # Errors
    /// The outer error is the backing's, and the node has to stop. The inner one says what is against
    /// it; then nothing has changed.
    pub fn depart(
        &mut self,
        heir: NodeId,
        bandwidth: Bandwidth,
    ) -> Result<Result<(), CannotDepart>, BackingError> {
        if let Some(refusal) = self.protocol.refusal(heir) {
            return Ok(Err(refusal));
        }
        self.coming.clear();
        let size = self.backing.page_size().bytes() as u64;
        // Where memory is limited, its heir makes room for no more at a time.
        let most = match self.budget {
            Some(_) => MOST_LEAVING as u64,
            None => MOST_GOING,
        };
        self.leaving = Some(Leaving {
            pace: Pace::new(size, bandwidth, most, self.now()),
            ahead: std::mem::replace(&mut self.ahead, Ahead::new(0)),
        });
        self.feed(Input::Depart(Departing::Begin { heir }))?;
        self.show_departure();
        Ok(Ok(()))
    }

    /// Takes part again after this node has left. Nothing happens otherwise.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn come_back(&mut self) -> Result<(), BackingError> {
        if self.protocol.departure().phase == Phase::Left {
            if let Some(leaving) = self.leaving.take() {
                self.ahead = leaving.ahead;
            }
            self.feed(Input::Depart(Departing::Return))?;
            self.show_departure();
        }
        Ok(())
    }

    /// Goes on leaving, if it is time. Returns how long until the next time, if this node is leaving.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn go_on_leaving(&mut self) -> Result<Option<Duration>, BackingError> {
        if self.leaving.is_none() {
            return Ok(None);
        }
        let departure = self.protocol.departure();
        let now = self.now();
        let Some(leaving) = &mut self.leaving else {
            return Ok(None);
        };
        if matches!(departure.phase, Phase::Here | Phase::Left) {
            self.show_departure();
            return Ok(None);
        }
        if let Some(pages) = leaving.pace.due(now, departure.going) {
            self.feed(Input::Depart(Departing::Continue { pages }))?;
            self.show_departure();
        }
        let left = self.leaving.as_ref().map(|leaving| leaving.pace.left(now));
        Ok(left)
    }

    /// Where wishes of local threads to leave are put.
    pub(in crate::engine) fn wishes(&self) -> Wishes {
        self.wishes.clone()
    }

    /// Whether nothing is lost with `node`, as it has left.
    #[must_use]
    pub fn has_left(&self, node: NodeId) -> bool {
        self.protocol.has_left(node)
    }

    fn show_departure(&mut self) {
        let departure: Departure = self.protocol.departure();
        if departure != self.shown_departure {
            self.shown_departure = departure;
            self.outlet.count(|stats| stats.departure = departure);
        }
    }
}
