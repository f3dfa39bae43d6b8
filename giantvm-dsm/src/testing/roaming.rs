//! The directory with homes that move sooner than they should, so that short runs see it.

use std::num::NonZeroU8;

use giantvm_core::{NodeId, PageIndex, PageRange};

use super::inspect::{Holding, Inspect};
use crate::protocol::directory::Message;
use crate::protocol::{
    CannotDepart, CoherenceProtocol, Command, Departure, Directory, HomeMap, Input, Rights, Setup,
    Tick, Violation,
};

/// The directory whose homes move to a node that writes `AFTER` times in a row; 0: they stay.
///
/// ```
/// use giantvm_dsm::testing::model::{Budget, SmallWorld};
/// use giantvm_dsm::testing::Roaming;
///
/// let world = SmallWorld { budgets: vec![Budget::faults(1); 2], pages: 1, mortal: false };
/// let (moving, fixed) = (world.explore::<Roaming<1>>()?, world.explore::<Roaming<0>>()?);
/// assert!(moving.states > fixed.states);
/// # Ok::<(), giantvm_dsm::testing::model::Counterexample>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Roaming<const AFTER: u8>(Directory);

impl<const AFTER: u8> CoherenceProtocol for Roaming<AFTER> {
    type Message = Message;

    const NAME: &'static str = Directory::NAME;

    fn new(setup: Setup) -> Self {
        let after = NonZeroU8::new(AFTER);
        Self(Directory::with_moves(setup, Directory::REST, after))
    }

    fn handle(
        &mut self,
        now: Tick,
        input: Input<Message>,
        commands: &mut Vec<Command<Message>>,
    ) -> Result<(), Violation> {
        self.0.handle(now, input, commands)
    }

    fn next_timeout(&self) -> Option<Tick> {
        self.0.next_timeout()
    }

    fn rights(&self, page: PageIndex) -> Option<Rights> {
        self.0.rights(page)
    }

    fn in_flight(&self) -> usize {
        self.0.in_flight()
    }

    fn refusal(&self, heir: NodeId) -> Option<CannotDepart> {
        self.0.refusal(heir)
    }

    fn departure(&self) -> Departure {
        self.0.departure()
    }

    fn has_left(&self, node: NodeId) -> bool {
        self.0.has_left(node)
    }

    fn handovers(&self) -> usize {
        self.0.handovers()
    }

    fn comes_home(&self) -> Vec<PageRange> {
        self.0.comes_home()
    }
}

impl<const AFTER: u8> Inspect for Roaming<AFTER> {
    fn holding(&self, page: PageIndex) -> Option<Holding> {
        self.0.holding(page)
    }

    fn version(&self, page: PageIndex) -> Option<u64> {
        self.0.version(page)
    }

    fn believes(from: NodeId, message: &Message, homes: &HomeMap) -> bool {
        Directory::believes(from, message, homes)
    }

    fn states(&self, page: PageIndex) -> Vec<&'static str> {
        self.0.states(page)
    }

    fn name(message: &Message) -> &'static str {
        Directory::name(message)
    }
}
