//! A node's share of the memory leaves it: what the first node tells it, and what it says to that.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use giantvm_core::NodeId;
use giantvm_dsm::engine::{Bandwidth, Dsm};
use giantvm_dsm::protocol::{Departure, Phase};
use serde::{Deserialize, Serialize};

use crate::wiring::Outlet;

/// How long a node may take to answer: its main thread may be waiting for all others.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a node is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Ask {
    /// Leave the memory.
    Leave {
        /// The number of the node that takes its part over.
        heir: u8,
        /// How fast; `None` for as fast as it goes.
        bytes_a_second: Option<u64>,
    },
    /// How far is it?
    Look,
    /// Take part again.
    Return,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    pub(crate) stage: Stage,
    /// Pages looked at and pages there are, which are looked at twice.
    pub(crate) done: u64,
    pub(crate) of: u64,
    /// Pages that are on their way.
    pub(crate) going: u64,
    /// What is against it.
    pub(crate) refused: Option<String>,
}

/// Where a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// It takes part in the memory.
    Here,
    /// It is leaving.
    Leaving,
    /// It may be ended.
    Left,
}

impl Told {
    fn of(departure: Departure, refused: Option<String>) -> Self {
        let Departure {
            phase, seen, pages, ..
        } = departure;
        let (stage, done) = match phase {
            Phase::Here => (Stage::Here, 0),
            Phase::Recalling => (Stage::Leaving, seen),
            Phase::Announcing => (Stage::Leaving, pages),
            Phase::Draining => (Stage::Leaving, pages + seen),
            Phase::Closing => (Stage::Leaving, 2 * pages),
            Phase::Left => (Stage::Left, 2 * pages),
        };
        Self {
            stage,
            done,
            of: 2 * pages,
            going: departure.going,
            refused,
        }
    }
}

/// Does what the first node asks of this one's share. `settle` waits until all others have read what this
/// node said so far.
pub(crate) fn carry_out(dsm: &Dsm, ask: Ask, settle: impl FnOnce()) -> Told {
    let refused = match ask {
        Ask::Leave {
            heir,
            bytes_a_second,
        } => {
            let bandwidth = bytes_a_second.map_or(Bandwidth::UNBOUNDED, Bandwidth);
            let heir = NodeId::new(heir).map_err(|error| error.to_string());
            let begun = heir.and_then(|heir| {
                let begun = dsm.depart(heir, bandwidth);
                begun.map_err(|error| error.to_string())
            });
            begun.err()
        }
        Ask::Look => None,
        Ask::Return => {
            let busy = !dsm.come_back();
            busy.then(|| String::from("the node has too much to do"))
        }
    };
    let departure = dsm.departure();
    if departure.phase == Phase::Left {
        // Interrupts that were sent on from here, say.
        settle();
    }
    Told::of(departure, refused)
}

/// The first node's side: one question at a time.
#[derive(Debug)]
pub(crate) struct Departures {
    outlet: Outlet,
    waiting: Mutex<Option<(NodeId, SyncSender<Told>)>>,
}

impl Departures {
    pub(crate) fn new(outlet: Outlet) -> Self {
        Self {
            outlet,
            waiting: Mutex::default(),
        }
    }

    /// Tells a node something, and waits for what it says.
    pub(crate) fn ask(&self, node: NodeId, ask: Ask) -> Result<Told, String> {
        let (tell, told) = sync_channel(1);
        *self.locked() = Some((node, tell));
        let sent = self.outlet.depart(node, &ask);
        let answer = sent.map_err(|error| error.to_string()).and_then(|()| {
            told.recv_timeout(PATIENCE)
                .map_err(|_| "it does not answer".into())
        });
        *self.locked() = None;
        let told = answer?;
        match told.refused {
            Some(refused) => Err(refused),
            None => Ok(told),
        }
    }

    /// Takes a node's answer. One that comes too late is of no use.
    pub(crate) fn told(&self, from: NodeId, told: Told) {
        if let Some((node, tell)) = &*self.locked()
            && *node == from
        {
            tell.try_send(told).ok();
        }
    }

    fn locked(&self) -> MutexGuard<'_, Option<(NodeId, SyncSender<Told>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_departure_is_shown_as_one_way_of_two_passes() {
        let at = |phase| {
            let (pages, seen) = (10, 4);
            let told = Told::of(
                Departure {
                    phase,
                    pages,
                    seen,
                    ..Departure::default()
                },
                None,
            );
            (told.stage, told.done, told.of)
        };
        assert_eq!(at(Phase::Recalling), (Stage::Leaving, 4, 20));
        assert_eq!(at(Phase::Draining), (Stage::Leaving, 14, 20));
        assert_eq!(at(Phase::Closing), (Stage::Leaving, 20, 20));
        assert_eq!(at(Phase::Left), (Stage::Left, 20, 20));
        assert_eq!(at(Phase::Here).0, Stage::Here);
    }
}
