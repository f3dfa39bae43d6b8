//! Nodes with little memory: which pages they are home to, and which they give up.

use giantvm_core::{NodeId, PageIndex};

use super::{Broken, Cluster};
use crate::backing::Backing;
use crate::engine::budget::{Budget, Plan};
use crate::protocol::{HomeMap, Input};
use crate::testing::Inspect;
use crate::testing::chaos::Chaos;
use crate::testing::config::Config;
use crate::testing::network::Event;

/// Which node is home to which page.
pub(super) fn homes(config: &Config) -> HomeMap {
    let nodes = NodeId::first(config.nodes);
    match config.memory {
        None => HomeMap::even(config.pages, nodes),
        Some(memory) => HomeMap::weighted(config.pages, nodes.map(|node| (node, memory)))
            .expect("memory for all pages"),
    }
}

pub(super) fn budget(local: NodeId, homes: &HomeMap, config: &Config) -> Option<Budget> {
    let own = homes.of(local).collect();
    let memory = config.memory?;
    Some(Budget::new(config.pages, own, memory))
}

impl<P: Inspect> Cluster<P> {
    /// Lets all nodes do what is to be done about pages that take too much memory. Whether there was
    /// nothing to do.
    pub(super) fn make_room(&mut self) -> Result<bool, Broken> {
        let mut roomy = true;
        for at in NodeId::first(self.nodes.len()) {
            let mut plan = Plan::default();
            while self.plan_at(at, &mut plan) {
                roomy = false;
                self.check_kept(at, &plan)?;
                let backing = &mut self.nodes[at.index()].backing;
                let done = backing.release(&plan.release);
                let done = done.and_then(|()| backing.suspend(&plan.suspend));
                done.map_err(|error| (format!("backing: node {at}: {error}"), None))?;
                for &page in &plan.evict {
                    self.wish(at, page)?;
                }
            }
        }
        Ok(roomy)
    }

    fn plan_at(&mut self, at: NodeId, plan: &mut Plan) -> bool {
        let node = &mut self.nodes[at.index()];
        let (pins, alive) = (&node.pins, node.alive);
        let budget = node.budget.as_mut().filter(|_| alive);
        budget.is_some_and(|budget| {
            budget.follow(&node.protocol);
            budget.plan(|page| pins.contains(page), plan)
        })
    }

    /// Checks that a node gives up nothing that comes home to it.
    fn check_kept(&self, at: NodeId, plan: &Plan) -> Result<(), Broken> {
        let runs = self.nodes[at.index()].protocol.comes_home();
        let stays = |page: &&PageIndex| runs.iter().any(|run| run.contains(**page));
        match plan.suspend.iter().chain(&plan.evict).find(stays) {
            Some(&page) => Err((
                format!("room: node {at} is where it comes home"),
                Some(page),
            )),
            None => Ok(()),
        }
    }

    fn wish(&mut self, at: NodeId, page: PageIndex) -> Result<(), Broken> {
        let before = self.report.messages;
        let event = Event::Chaos(Chaos::Evict { node: at, page });
        self.feed(at, Input::Evict { page }, None, event)?;
        let told = self.report.messages > before;
        if let Some(budget) = &mut self.nodes[at.index()].budget {
            budget.wished(page, told);
        }
        Ok(())
    }

    /// Ends a page's probation.
    pub(super) fn keep(&mut self, at: NodeId, page: PageIndex) -> Result<(), Broken> {
        let node = &mut self.nodes[at.index()];
        let budget = node.budget.as_mut();
        let suspended = budget.is_some_and(|budget| budget.end_trial(page));
        let rights = node.protocol.rights(page).filter(|_| suspended);
        let mapped = rights.map_or(Ok(()), |rights| node.backing.map(page, rights));
        mapped.map_err(|error| (format!("backing: node {at}: {error}"), Some(page)))
    }

    /// Ends all of a node's probations, and its limit.
    pub(super) fn keep_all(&mut self, at: NodeId) -> Result<(), Broken> {
        let budget = self.nodes[at.index()].budget.as_ref();
        let pages = budget.map(|budget| budget.on_trial().collect());
        let pages: Vec<_> = pages.unwrap_or_default();
        pages.into_iter().try_for_each(|page| self.keep(at, page))?;
        self.nodes[at.index()].budget = None;
        Ok(())
    }

    pub(super) fn count_memory(&mut self) {
        let budgets = self.nodes.iter().filter_map(|node| node.budget.as_ref());
        for memory in budgets.map(Budget::stats) {
            self.report.evictions += memory.evictions_clean + memory.evictions_dirty;
            self.report.second_chances += memory.second_chances;
        }
    }

    /// How many pages take memory on a node that has a limit.
    ///
    /// # Panics
    /// If there is no such node.
    #[must_use]
    pub fn resident(&self, node: NodeId) -> Option<u64> {
        let budget = self.nodes[node.index()].budget.as_ref();
        budget.map(|budget| budget.stats().resident)
    }

    /// How many pages a node with a limit waits to be rid of: none when all is quiet.
    ///
    /// # Panics
    /// If there is no such node.
    #[must_use]
    pub fn unanswered(&self, node: NodeId) -> Option<usize> {
        let budget = self.nodes[node.index()].budget.as_ref();
        budget.map(Budget::unanswered)
    }
}
