//! What an assignment of threads and homes to nodes loses, and what moves would change.
//!
//! Everything is in one unit, lost time in ns a second, so that the time that threads wait for
//! memory and the time that they wait for a processor can be weighed against one another. Of `n`
//! threads that could all run, `n - lost / 10^9` processors' worth of work gets done.

use giantvm_core::NodeId;

use super::graph::Graph;
use crate::schedule::{Capacity, Machine};

/// The distance of two nodes that are as far apart as the mean of all links.
const MEAN: i64 = 256;
/// The farthest that two nodes can be apart.
const FARTHEST: u64 = 16 * 256;

/// A thread to go to a node, both by index.
pub(super) type Shift = (usize, usize);

/// What moves would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Weighed {
    /// What the movers lose where they are.
    pub(super) before: i64,
    /// What they would lose where they are going.
    pub(super) after: i64,
    /// How much of the difference is waiting for processors.
    pub(super) load: i64,
    /// How much of the difference is waiting for homes.
    pub(super) pull: i64,
    /// What moving takes, once, in ns.
    pub(super) cost: i64,
}

impl Weighed {
    /// Lost time that is gained, in ns a second; negative if more would be lost.
    pub(super) const fn gain(self) -> i64 {
        self.before - self.after
    }

    /// The same, of waiting for memory alone.
    pub(super) const fn stall_gain(self) -> i64 {
        self.gain() - self.load
    }
}

/// Distances and capacities: what does not change while a plan is made.
#[derive(Debug, Clone)]
pub(super) struct Terrain {
    distances: Vec<Vec<i64>>,
    /// Links in ns.
    links: Vec<Vec<i64>>,
    capacities: Vec<Capacity>,
    /// What a thread's move takes without its pages, in ns.
    move_cost: i64,
}

impl Terrain {
    pub(super) fn new(machine: &Machine, capacities: &[Capacity], move_cost: i64) -> Self {
        let mean = machine.mean_link().0.max(1);
        let square = |cell: &dyn Fn(NodeId, NodeId) -> u64| -> Vec<Vec<i64>> {
            let row = |a| machine.nodes().map(|b| cell(a, b).cast_signed()).collect();
            machine.nodes().map(row).collect()
        };
        let apart = |a, b| match machine.link(a, b).0 * MEAN.unsigned_abs() / mean {
            _ if a == b => 0,
            distance => distance.clamp(1, FARTHEST),
        };
        Self {
            distances: square(&apart),
            links: square(&|a, b| machine.link(a, b).0),
            capacities: capacities.to_vec(),
            move_cost,
        }
    }

    /// What a node loses with this load, in ns a second: each thread too many waits all the time.
    /// The square is for fairness: what is lost anyway is less of a loss if all share it, as the
    /// slowest thread holds up all others of its program.
    fn overload(&self, node: usize, load: i64) -> i64 {
        let limit = i64::from(self.capacities[node].millicpus) * 1_000_000;
        let over = (load - limit).max(0);
        // In thousandths of a processor, so that the square fits.
        let (over_milli, limit_milli) = (over / 1_000_000, (limit / 1_000_000).max(1));
        over + over_milli * over_milli / (4 * limit_milli) * 1_000_000
    }
}

/// Which thread and which home is on which node.
#[derive(Debug, Clone)]
pub(super) struct Assignment<'a> {
    terrain: &'a Terrain,
    graph: &'a Graph,
    /// What each thread needs of a processor, in ns a second.
    demands: &'a [i64],
    node_of: Vec<usize>,
    home_of: Vec<usize>,
    loads: Vec<i64>,
    counts: Vec<usize>,
    /// Groups that a node may yet become home of.
    rooms: Vec<u64>,
}

impl<'a> Assignment<'a> {
    pub(super) fn new(
        terrain: &'a Terrain,
        graph: &'a Graph,
        demands: &'a [i64],
        node_of: Vec<usize>,
    ) -> Self {
        let nodes = terrain.capacities.len();
        let (mut loads, mut counts) = (vec![0; nodes], vec![0; nodes]);
        for (&node, &demand) in node_of.iter().zip(demands) {
            loads[node] += demand;
            counts[node] += 1;
        }
        Self {
            terrain,
            graph,
            demands,
            node_of,
            home_of: graph.homes.iter().map(|home| home.node).collect(),
            loads,
            counts,
            rooms: terrain.capacities.iter().map(|of| of.groups).collect(),
        }
    }

    pub(super) fn node_of(&self, thread: usize) -> usize {
        self.node_of[thread]
    }

    pub(super) fn home_of(&self, home: usize) -> usize {
        self.home_of[home]
    }

    /// Whether threads on a node wait for one another.
    pub(super) fn is_overloaded(&self, node: usize) -> bool {
        self.terrain.overload(node, self.loads[node]) > 0
    }

    /// The node with the most to give for its size, the first of equals.
    pub(super) fn idlest(&self) -> usize {
        let limit = |node: usize| i64::from(self.terrain.capacities[node].millicpus).max(1);
        let key = |&node: &usize| self.loads[node] / limit(node);
        (0..self.loads.len()).min_by_key(key).unwrap_or(0)
    }

    /// What changes if these threads go where they are sent, all at once; `None` if they do not
    /// fit. They are in ascending order, none twice. `O(e log s)` for `s` movers with `e` edges.
    pub(super) fn weigh(&self, shifts: &[Shift]) -> Option<Weighed> {
        let mut weighed = Weighed::default();
        for &(thread, to) in shifts {
            let from = self.node_of[thread];
            for &(other, weight) in &self.graph.edges[thread] {
                let shift = shifts.binary_search_by_key(&other, |&(of, _)| of).ok();
                // An edge between two movers is looked at from one end.
                if shift.is_some() && other < thread {
                    continue;
                }
                let goes = shift.map_or(self.node_of[other], |at| shifts[at].1);
                weighed.before += self.lost(weight, from, self.node_of[other]);
                weighed.after += self.lost(weight, to, goes);
            }
            for &(home, weight) in &self.graph.pulls[thread] {
                let before = self.lost(weight, from, self.home_of[home]);
                let after = self.lost(weight, to, self.home_of[home]);
                weighed.before += before;
                weighed.after += after;
                weighed.pull += before - after;
            }
        }
        weighed.cost = self.cost_of(shifts);
        weighed.load = self.load_gain(shifts)?;
        if weighed.load > 0 {
            weighed.before += weighed.load;
        } else {
            weighed.after -= weighed.load;
        }
        Some(weighed)
    }

    /// What a node gives that others than these threads do not need, in thousandths of a processor.
    pub(super) fn room_for(&self, members: &[usize], node: usize) -> i64 {
        let inside = members.iter().filter(|&&of| self.node_of[of] == node);
        let inside: i64 = inside.map(|&of| self.demands[of]).sum();
        let limit = i64::from(self.terrain.capacities[node].millicpus);
        (limit - (self.loads[node] - inside) / 1_000_000).max(0)
    }

    /// Whether a node takes these threads beside the others that it has.
    pub(super) fn fits(&self, members: &[usize], node: usize) -> bool {
        let inside = members.iter().filter(|&&of| self.node_of[of] == node);
        let count = self.counts[node] - inside.count() + members.len();
        count <= self.terrain.capacities[node].threads
    }

    /// What `members` lose now, and what of it they would still lose on a node.
    pub(super) fn lost_by(&self, members: &[usize], node: usize) -> (i64, i64) {
        let (mut all, mut still) = (0, 0);
        for &member in members {
            for &(other, weight) in &self.graph.edges[member] {
                let inside = members.binary_search(&other).is_ok();
                if inside && other < member {
                    continue;
                }
                all += self.lost(weight, self.node_of[member], self.node_of[other]);
                if !inside {
                    still += self.lost(weight, node, self.node_of[other]);
                }
            }
            for &(home, weight) in &self.graph.pulls[member] {
                all += self.lost(weight, self.node_of[member], self.home_of[home]);
                still += self.lost(weight, node, self.home_of[home]);
            }
        }
        (all, still)
    }

    /// What moving these threads takes, once, in ns.
    pub(super) fn cost_of(&self, shifts: &[Shift]) -> i64 {
        let each = shifts.iter().map(|&(thread, to)| {
            let pages = i64::try_from(self.graph.warm[thread]).unwrap_or(i64::MAX);
            let fetch = self.terrain.links[self.node_of[thread]][to].saturating_mul(pages);
            self.terrain.move_cost.saturating_add(fetch)
        });
        each.fold(0, i64::saturating_add)
    }

    /// What changes if a home moves; `None` if there is no room.
    pub(super) fn weigh_home(&self, home: usize, to: usize) -> Option<Weighed> {
        let (of, from) = (&self.graph.homes[home], self.home_of[home]);
        if self.rooms[to] == 0 {
            return None;
        }
        let lost = |node: usize| -> i64 {
            let users = of.users.iter();
            users
                .map(|&(user, weight)| self.lost(weight, self.node_of[user], node))
                .sum()
        };
        let pages = i64::try_from(of.pages).unwrap_or(i64::MAX);
        let (before, after) = (lost(from), lost(to));
        Some(Weighed {
            before,
            after,
            load: 0,
            pull: before - after,
            cost: self.terrain.links[from][to].saturating_mul(pages),
        })
    }

    /// How much longer a thread would wait for memory elsewhere.
    pub(super) fn stall_of_leaving(&self, thread: usize, to: usize) -> i64 {
        let from = self.node_of[thread];
        let edges = self.graph.edges[thread].iter();
        let ends = edges.map(|&(other, weight)| (self.node_of[other], weight));
        let pulls = self.graph.pulls[thread].iter();
        let homes = pulls.map(|&(home, weight)| (self.home_of[home], weight));
        let longer = |(at, weight)| self.lost(weight, to, at) - self.lost(weight, from, at);
        ends.chain(homes).map(longer).sum()
    }

    pub(super) fn apply(&mut self, shifts: &[Shift]) {
        for &(thread, to) in shifts {
            let from = std::mem::replace(&mut self.node_of[thread], to);
            self.counts[from] -= 1;
            self.counts[to] += 1;
            self.loads[from] -= self.demands[thread];
            self.loads[to] += self.demands[thread];
        }
    }

    pub(super) fn apply_home(&mut self, home: usize, to: usize) {
        self.home_of[home] = to;
        self.rooms[to] = self.rooms[to].saturating_sub(1);
    }

    /// All that is lost, in ns a second.
    #[cfg(test)]
    pub(super) fn total(&self) -> i64 {
        let threads = 0..self.node_of.len();
        let edges = threads.flat_map(|a| self.graph.edges[a].iter().map(move |&(b, w)| (a, b, w)));
        let edges = edges.filter(|(a, b, _)| a < b);
        let shared = edges.map(|(a, b, w)| self.lost(w, self.node_of[a], self.node_of[b]));
        let homes = self.graph.homes.iter().zip(&self.home_of);
        let remote = homes.flat_map(|(home, &node)| {
            home.users
                .iter()
                .map(move |&(user, w)| self.lost(w, self.node_of[user], node))
        });
        let loads = self.loads.iter().enumerate();
        let queued = loads.map(|(node, &load)| self.terrain.overload(node, load));
        shared.sum::<i64>() + remote.sum::<i64>() + queued.sum::<i64>()
    }

    fn lost(&self, weight: i64, a: usize, b: usize) -> i64 {
        // A weight has 40 bits and a distance 12.
        weight * self.terrain.distances[a][b] / MEAN
    }

    /// How much less is waited for processors; `None` if a node would get more threads than it
    /// takes.
    fn load_gain(&self, shifts: &[Shift]) -> Option<i64> {
        let ends = shifts
            .iter()
            .flat_map(|&(thread, to)| [self.node_of[thread], to]);
        let mut nodes: Vec<_> = ends.collect();
        nodes.sort_unstable();
        nodes.dedup();
        let mut gain = 0;
        for node in nodes {
            let (mut load, mut count) = (self.loads[node], self.counts[node]);
            for &(thread, to) in shifts
                .iter()
                .filter(|(thread, to)| self.node_of[*thread] != *to)
            {
                if to == node {
                    load += self.demands[thread];
                    count += 1;
                } else if self.node_of[thread] == node {
                    load -= self.demands[thread];
                    count = count.wrapping_sub(1);
                }
            }
            let grows = count > self.counts[node];
            if grows && count > self.terrain.capacities[node].threads {
                return None;
            }
            gain += self.terrain.overload(node, self.loads[node]);
            gain -= self.terrain.overload(node, load);
        }
        Some(gain)
    }
}

#[cfg(test)]
mod tests;
