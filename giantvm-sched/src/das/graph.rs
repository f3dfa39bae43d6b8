//! Who waits for whom: threads and homes, and the lost time between them.
//!
//! A thread faults on a group because another took its pages away, or because they are at their
//! home. A load waits for those that store; a store waits for all other users. So a thread's stall
//! is divided among the group's other users in proportion to how much each of them does that it has
//! to wait for. What no other user explains is put down to the home.
//!
//! The result is a weighted graph, as Thread clustering (Tam, Azimi, Stumm, EuroSys 2007) makes from
//! samples of cache misses.

use std::collections::BTreeMap;

use super::decay::Decay;
use super::evidence::{Evidence, Use};
use crate::schedule::{PageGroup, ThreadId};

/// Users of a group that are told apart at most, the hottest: pairs grow with their square.
pub(super) const MAX_SHARERS: usize = 16;

/// The heaviest weight: a thousand seconds a second, so that sums of them fit.
const HEAVIEST: i64 = 1_000_000_000_000;

/// A group whose home matters.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) group: PageGroup,
    /// Its node.
    pub(super) node: usize,
    /// Pages that would have to move.
    pub(super) pages: u64,
    /// Whether it may be asked to move.
    pub(super) movable: bool,
    /// Which threads wait for it, by index, and how long: ns a second.
    pub(super) users: Vec<(usize, i64)>,
}

/// The graph. Threads are numbered in the order that they are given; weights are lost time in ns a
/// second, if the two are as far apart as the mean of all links.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    /// For each thread the other ends of its edges, by index, in their order.
    pub(super) edges: Vec<Vec<(usize, i64)>>,
    /// For each thread the homes that it waits for, by index.
    pub(super) pulls: Vec<Vec<(usize, i64)>>,
    pub(super) homes: Vec<Home>,
    /// For each thread the pages that it fetched of late: what it would fetch again.
    pub(super) warm: Vec<u64>,
}

impl Graph {
    /// The graph of `threads`, which are in ascending order. Its cost is bounded by the number of
    /// uses times [`MAX_SHARERS`].
    pub(super) fn new(
        evidence: &Evidence,
        threads: &[ThreadId],
        decay: Decay,
        steps_a_second: u64,
        group_pages: u64,
    ) -> Self {
        let mut groups: BTreeMap<PageGroup, Vec<(usize, &Use)>> = BTreeMap::new();
        let mut warm = vec![0_u64; threads.len()];
        for (thread, uses) in evidence.iter() {
            let Ok(index) = threads.binary_search(&thread) else {
                continue;
            };
            for of in uses {
                warm[index] += of.faults().min(group_pages);
                if of.confirmed {
                    groups.entry(of.group).or_default().push((index, of));
                }
            }
        }
        let mut pairs: BTreeMap<(usize, usize), i64> = BTreeMap::new();
        let mut graph = Self {
            edges: vec![Vec::new(); threads.len()],
            pulls: vec![Vec::new(); threads.len()],
            homes: Vec::new(),
            warm,
        };
        for (group, mut users) in groups {
            users.sort_by_key(|&(index, of)| (std::cmp::Reverse(of.stall.sum()), index));
            users.truncate(MAX_SHARERS);
            let rate = |stall: u64| decay.per_step(stall).saturating_mul(steps_a_second);
            let mut at_home = Vec::new();
            for &(index, of) in &users {
                let others = users.iter().filter(|&&(other, _)| other != index);
                let unexplained = share(of, others, |other, stall| {
                    let pair = (index.min(other), index.max(other));
                    let edge = pairs.entry(pair).or_default();
                    *edge = (*edge + weight(rate(stall))).min(HEAVIEST);
                });
                if unexplained > 0 {
                    at_home.push((index, weight(rate(unexplained))));
                }
            }
            graph.add_home(group, &users, at_home, group_pages);
        }
        for ((a, b), weight) in pairs {
            graph.edges[a].push((b, weight));
            graph.edges[b].push((a, weight));
        }
        graph
    }

    fn add_home(
        &mut self,
        group: PageGroup,
        users: &[(usize, &Use)],
        waiting: Vec<(usize, i64)>,
        group_pages: u64,
    ) {
        // Who faulted last knows best where the home is; of equals, who waits most.
        let latest = users.iter().rev().max_by_key(|(_, of)| of.last_fault());
        let Some((_, latest)) = latest.filter(|_| !waiting.is_empty()) else {
            return;
        };
        let index = self.homes.len();
        for &(thread, weight) in &waiting {
            self.pulls[thread].push((index, weight));
        }
        let faults: u64 = users.iter().map(|(_, of)| of.faults()).sum();
        self.homes.push(Home {
            group,
            node: latest.home.index(),
            pages: faults.clamp(1, group_pages),
            movable: users.iter().all(|(_, of)| !of.rehomed),
            users: waiting,
        });
    }
}

/// Divides a use's stall among the group's other users, and returns what they do not explain.
fn share<'a>(
    of: &Use,
    others: impl Iterator<Item = &'a (usize, &'a Use)> + Clone,
    mut give: impl FnMut(usize, u64),
) -> u64 {
    let written: u64 = others.clone().map(|(_, other)| other.writes.sum()).sum();
    let used: u64 = others.clone().map(|(_, other)| other.weight()).sum();
    let by_reads = part(of.stall.sum(), of.reads.sum(), of.weight());
    let by_writes = of.stall.sum() - by_reads;
    for &(index, other) in others {
        let stall =
            part(by_reads, other.writes.sum(), written) + part(by_writes, other.weight(), used);
        if stall > 0 {
            give(index, stall);
        }
    }
    let alone = |stall, others| if others == 0 { stall } else { 0 };
    alone(by_reads, written) + alone(by_writes, used)
}

/// `whole * some / all`, nothing of nothing.
fn part(whole: u64, some: u64, all: u64) -> u64 {
    let product = u128::from(whole) * u128::from(some);
    let part = product.checked_div(all.into()).unwrap_or(0);
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// A rate as a weight.
fn weight(rate: u64) -> i64 {
    i64::try_from(rate).map_or(HEAVIEST, |rate| rate.min(HEAVIEST))
}

#[cfg(test)]
pub(super) mod tests;
