//! Keeps a node's memory within its budget: carries out what the [`Budget`] plans.

use giantvm_core::PageIndex;

use super::Driver;
use crate::backing::BackingError;
use crate::engine::budget::Budget;
use crate::protocol::{CoherenceProtocol, Command, HomeMap, Input};

impl<P: CoherenceProtocol> Driver<P> {
    /// Gives up pages when more than about `budget` of them take memory; see
    /// [`make_room`](Self::make_room). As many as there are at first.
    #[must_use]
    pub fn within(mut self, budget: u64, homes: &HomeMap) -> Self {
        let local = self.outlet.transport.local();
        let own = homes.of(local).collect();
        self.budget = Some(Budget::new(self.backing.pages(), own, budget));
        self
    }

    /// Does what is to be done about pages that take too much memory: gives frames back that no one
    /// needs, and asks to be rid of copies that were not used lately. Call it after inputs. Costs
    /// next to nothing while there is room.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn make_room(&mut self) -> Result<(), BackingError> {
        let Some(budget) = &mut self.budget else {
            return Ok(());
        };
        budget.follow(&self.protocol);
        if budget.is_due() {
            self.carry_out_plans()?;
        }
        if let Some(memory) = self.budget.as_ref().map(Budget::stats)
            && memory != self.shown
        {
            self.shown = memory;
            self.outlet.count(|stats| stats.memory = memory);
        }
        Ok(())
    }

    fn carry_out_plans(&mut self) -> Result<(), BackingError> {
        // What is to be released may still have to be sent.
        self.flush()?;
        let mut plan = std::mem::take(&mut self.plan);
        while let Some(budget) = &mut self.budget
            && budget.plan(|page| self.pins.contains(page), &mut plan)
        {
            self.backing.release(&plan.release)?;
            self.backing.suspend(&plan.suspend)?;
            for &page in &plan.evict {
                self.wish(page)?;
            }
            self.flush()?;
        }
        self.plan = plan;
        Ok(())
    }

    /// Tells the protocol that a page is not wanted. What it says waits for those of other pages.
    fn wish(&mut self, page: PageIndex) -> Result<(), BackingError> {
        let (now, wish) = (self.now(), Input::Evict { page });
        if let Err(violation) = self.protocol.handle(now, wish, &mut self.commands) {
            tracing::error!(%violation, "the protocol refused an input of its own node");
            self.commands.clear();
        }
        let sends = |command: &Command<_>| matches!(command, Command::Send { .. });
        let told = self.commands.iter().any(sends);
        self.carry_out(now, None)?;
        if let Some(budget) = &mut self.budget {
            budget.wished(page, told);
        }
        Ok(())
    }

    /// Whether a page may be asked for that no one waits for, besides `coming` others.
    pub(super) fn has_room(&self, page: PageIndex, coming: usize) -> bool {
        let budget = self.budget.as_ref();
        budget.is_none_or(|budget| budget.has_room(page, coming))
    }

    /// Sees to it that a page which is here can be accessed without a fault.
    pub(super) fn keep(&mut self, page: PageIndex) -> Result<(), BackingError> {
        let budget = self.budget.as_mut();
        let suspended = budget.is_some_and(|budget| budget.end_trial(page));
        match self.protocol.rights(page).filter(|_| suspended) {
            Some(rights) => self.backing.map(page, rights),
            None => Ok(()),
        }
    }

    /// Sees to it that all pages which are here can be accessed without a fault, and stay: after a
    /// loss, a protocol answers none.
    pub(super) fn keep_all(&mut self) -> Result<(), BackingError> {
        self.flush()?;
        let budget = self.budget.take();
        for page in budget.iter().flat_map(Budget::on_trial) {
            if let Some(rights) = self.protocol.rights(page) {
                self.backing.map(page, rights)?;
            }
        }
        Ok(())
    }
}
