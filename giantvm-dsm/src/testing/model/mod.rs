//! Every state of small worlds: the real protocol, with any order of faults, stores, messages,
//! evictions, pins and time-outs that the transport and the driver allow.
//!
//! A [`Cluster`](super::Cluster) takes one order after the other from a seed; here none is left
//! out. The price is a world of few nodes, pages and faults. A fault may be a read or a write, at
//! any time; a node that may write stores at any time; messages stay in order only from one node
//! to another within one class of traffic. The search is stateright's, over the implementation
//! itself.
//!
//! ```
//! use giantvm_dsm::protocol::Directory;
//! use giantvm_dsm::testing::model::{Budget, SmallWorld};
//!
//! let once = Budget { faults: 1, ..Budget::default() };
//! let world = SmallWorld { budgets: vec![once; 2], pages: 1, ..SmallWorld::default() };
//! let explored = world.explore::<Directory>()?;
//! assert!(explored.states > 20);
//! # Ok::<(), giantvm_dsm::testing::model::Counterexample>(())
//! ```

mod bytes;
mod event;
mod laws;
mod node;
mod world;

use std::fmt::{self, Debug};
use std::hash::Hash;

use stateright::{Checker, Model, Property};

pub use event::Event;
pub use world::World;

use super::Inspect;
use crate::protocol::Setup;

/// Most steps of a search. A world that takes more is a failure, not a full memory.
const LIMIT: usize = 8_000_000;

/// A protocol whose nodes can be copied and compared: what the search needs.
pub trait Checkable: Inspect<Message: Sync> + Clone + PartialEq + Eq + Hash + Sync {}

impl<P: Inspect<Message: Sync> + Clone + PartialEq + Eq + Hash + Sync> Checkable for P {}

/// How often each thing may happen to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    /// Faults.
    pub faults: u8,
    /// Evictions.
    pub evictions: u8,
    /// Pinned pages.
    pub pins: u8,
    /// Signals that it hears.
    pub signals: u8,
    /// Departures, from whose end the node stops or comes back.
    pub departures: u8,
    /// Time-outs; `None` for any number.
    pub timeouts: Option<u8>,
}

impl Budget {
    /// So many faults and nothing else.
    #[must_use]
    pub const fn faults(faults: u8) -> Self {
        Self {
            faults,
            evictions: 0,
            pins: 0,
            signals: 0,
            departures: 0,
            timeouts: None,
        }
    }
}

/// A world that is small enough to be searched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SmallWorld {
    /// What may happen to each node; as many nodes as entries.
    pub budgets: Vec<Budget>,
    /// Pages, homed evenly over the nodes.
    pub pages: u64,
    /// Whether one node may die, at any time.
    pub mortal: bool,
}

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// The longest way from the start to any of them, in events.
    pub depth: usize,
}

/// The shortest way to a state that breaks a law.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Counterexample {
    /// The law and how it is broken.
    pub what: String,
    /// The events that lead there.
    pub events: Vec<Event>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} after these events:", self.what)?;
        for event in &self.events {
            writeln!(f, "  {event}")?;
        }
        Ok(())
    }
}

/// A small world as stateright sees it.
struct Search<P: Checkable>(World<P>);

const LAWS: &str = "every law holds";
const QUIET: &str = "everything comes to rest at times";

impl<P: Checkable> Model for Search<P> {
    type State = World<P>;
    type Action = Event;

    fn init_states(&self) -> Vec<World<P>> {
        vec![self.0.clone()]
    }

    fn actions(&self, state: &World<P>, actions: &mut Vec<Event>) {
        actions.extend(state.events());
    }

    fn next_state(&self, state: &World<P>, event: Event) -> Option<World<P>> {
        Some(state.after(event))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(LAWS, |_, state: &World<P>| state.broken.is_none()),
            Property::sometimes(QUIET, |_, state: &World<P>| state.is_quiet()),
        ]
    }
}

impl SmallWorld {
    /// Visits every state that can come about.
    ///
    /// # Errors
    /// [`Counterexample`] if a law is broken in one of them.
    pub fn explore<P: Checkable>(&self) -> Result<Explored, Counterexample> {
        self.explore_with(&P::new)
    }

    /// The same with nodes made by `make`.
    ///
    /// # Errors
    /// [`Counterexample`] if a law is broken in a state, or there are too many states.
    pub fn explore_with<P: Checkable>(
        &self,
        make: &dyn Fn(Setup) -> P,
    ) -> Result<Explored, Counterexample> {
        let search = Search(World::new(self, make)).checker();
        let found = search.target_state_count(LIMIT).spawn_bfs().join();
        if let Some(path) = found.discovery(LAWS) {
            let what = path.last_state().broken.clone().unwrap_or_default();
            let events = path.into_actions();
            return Err(Counterexample { what, events });
        }
        let states = found.unique_state_count();
        if found.state_count() >= LIMIT || found.discovery(QUIET).is_none() {
            let what = format!("search: {states} states, more than can be searched or never quiet");
            let events = Vec::new();
            return Err(Counterexample { what, events });
        }
        Ok(Explored {
            states,
            depth: found.max_depth(),
        })
    }
}
