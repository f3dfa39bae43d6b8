//! The search for a better assignment: the best step, then the next, until none is worth it.
//!
//! After Kernighan and Lin (1970) and Fiduccia and Mattheyses (1982): moves of one thread and swaps
//! of two, each thread at most once a plan; and groups that gather on a node, with or without as
//! many others making room. Beside them, homes that move to threads. Everything competes by what it
//! saves within the horizon less what it costs, so a thread goes to its pages only if that is better
//! than their coming to it. No step is taken for less than the parameters ask, so every step lessens
//! what is lost, and there are only so many.
//!
//! For `t` threads, `e` edges and `n` nodes a step weighs at most `t n` moves, `16 t` swaps, and
//! `2 n` gatherings for each group; a plan has a limited number of steps.

use super::cluster::clusters;
use super::cost::{Assignment, Shift, Weighed};
use super::graph::Graph;
use super::params::Parameters;
use super::plan::Why;

/// Moves that are tried as swaps, those that would save most stall.
const MAX_SWAPS: usize = 16;

/// What could be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// These threads go, in ascending order.
    Threads(Vec<Shift>),
    /// A home, by index, goes to a node.
    Home(usize, usize),
}

/// What is best to be done, and what of it.
#[derive(Debug, Clone)]
pub(super) struct Best {
    pub(super) action: Action,
    pub(super) weighed: Weighed,
    pub(super) why: Why,
    /// The threads that come together as apart they get little done.
    pub(super) together: Vec<usize>,
    net: i128,
}

/// A search under way.
#[derive(Debug)]
pub(super) struct Search<'a> {
    params: &'a Parameters,
    graph: &'a Graph,
    assignment: Assignment<'a>,
    clusters: Vec<Vec<usize>>,
    /// Threads that share pages at all, however many.
    teams: Vec<Vec<usize>>,
    /// What each thread gets done; empty if that is not known.
    works: &'a [Work],
    /// Threads that stay where they are.
    fixed: Vec<bool>,
    /// Homes that do.
    settled: Vec<bool>,
    /// Whether there was a step.
    begun: bool,
    /// Alternatives that were weighed.
    pub(super) weighed: u64,
}

impl<'a> Search<'a> {
    /// A search in which threads in `fixed` stay; groups have `largest` threads at most.
    pub(super) fn new(
        params: &'a Parameters,
        graph: &'a Graph,
        assignment: Assignment<'a>,
        fixed: Vec<bool>,
        largest: usize,
    ) -> Self {
        Self {
            params,
            graph,
            assignment,
            clusters: clusters(graph, largest),
            teams: clusters(graph, usize::MAX),
            works: &[],
            begun: false,
            fixed,
            settled: graph.homes.iter().map(|home| !home.movable).collect(),
            weighed: 0,
        }
    }

    /// The same, where it is known what threads get done.
    pub(super) const fn knowing(mut self, works: &'a [Work]) -> Self {
        self.works = works;
        self
    }

    pub(super) fn assignment(&self) -> &Assignment<'a> {
        &self.assignment
    }

    /// The best step from here, which is taken; `None` if none is worth it.
    pub(super) fn step(&mut self) -> Option<Best> {
        let mut best = None;
        let wanted = self.singles(&mut best);
        self.swaps(&wanted, &mut best);
        self.gatherings(&mut best);
        if !self.begun {
            self.teams(&mut best);
        }
        self.begun = true;
        self.homes(&mut best);
        let best = best?;
        match &best.action {
            Action::Threads(shifts) => {
                self.assignment.apply(shifts);
                let movers = shifts.iter().map(|&(thread, _)| thread);
                for thread in movers.chain(best.together.iter().copied()) {
                    self.fixed[thread] = true;
                }
            }
            &Action::Home(home, to) => {
                self.assignment.apply_home(home, to);
                self.settled[home] = true;
            }
        }
        Some(best)
    }

    /// Each thread alone. Returns the moves that would save stall, most of it first.
    fn singles(&mut self, best: &mut Option<Best>) -> Vec<Shift> {
        let idlest = self.assignment.idlest();
        let mut wanted = Vec::new();
        for thread in 0..self.fixed.len() {
            let from = self.assignment.node_of(thread);
            let mut nodes = Vec::new();
            if self.assignment.is_overloaded(from) {
                nodes.push(idlest);
            }
            let edges = self.graph.edges[thread].iter();
            nodes.extend(edges.map(|&(other, _)| self.assignment.node_of(other)));
            let pulls = self.graph.pulls[thread].iter();
            nodes.extend(pulls.map(|&(home, _)| self.assignment.home_of(home)));
            nodes.sort_unstable();
            nodes.dedup();
            for to in nodes {
                if self.fixed[thread] || to == from {
                    continue;
                }
                if let Some(weighed) = self.weigh(vec![(thread, to)], best)
                    && weighed.stall_gain() > 0
                {
                    wanted.push((weighed.stall_gain(), thread, to));
                }
            }
        }
        wanted.sort_unstable_by_key(|&(gain, thread, to)| (std::cmp::Reverse(gain), thread, to));
        wanted.truncate(MAX_SWAPS);
        wanted
            .into_iter()
            .map(|(_, thread, to)| (thread, to))
            .collect()
    }

    /// What is wanted, and another thread the other way.
    fn swaps(&mut self, wanted: &[Shift], best: &mut Option<Best>) {
        for &(thread, to) in wanted {
            let from = self.assignment.node_of(thread);
            for other in 0..self.fixed.len() {
                if self.assignment.node_of(other) == to && !self.fixed[other] {
                    let mut shifts = vec![(thread, to), (other, from)];
                    shifts.sort_unstable();
                    self.weigh(shifts, best);
                }
            }
        }
    }

    /// Groups that come together on one of their nodes or the idlest one.
    fn gatherings(&mut self, best: &mut Option<Best>) {
        let clusters = std::mem::take(&mut self.clusters);
        for members in &clusters {
            let mut nodes: Vec<_> = members
                .iter()
                .map(|&of| self.assignment.node_of(of))
                .collect();
            nodes.push(self.assignment.idlest());
            nodes.sort_unstable();
            nodes.dedup();
            for to in nodes {
                let away = members
                    .iter()
                    .filter(|&&of| self.assignment.node_of(of) != to);
                let movers: Vec<Shift> = away.map(|&of| (of, to)).collect();
                if movers.len() > 1 && movers.iter().all(|&(of, _)| !self.fixed[of]) {
                    let exchange = self.making_room(members, &movers, to);
                    self.weigh(movers, best);
                    if let Some(exchange) = exchange {
                        self.weigh(exchange, best);
                    }
                }
            }
        }
        self.clusters = clusters;
    }

    /// The movers, and for each a thread that leaves `to` for where the mover was, of those that
    /// mind least; `None` if there are not as many.
    fn making_room(&self, members: &[usize], movers: &[Shift], to: usize) -> Option<Vec<Shift>> {
        let all = 0..self.fixed.len();
        let mut staying: Vec<_> = all
            .filter(|&of| self.assignment.node_of(of) == to && !self.fixed[of])
            .filter(|of| members.binary_search(of).is_err())
            .collect();
        let mut shifts = movers.to_vec();
        for &(mover, _) in movers {
            let from = self.assignment.node_of(mover);
            let minds = |&at: &usize| self.assignment.stall_of_leaving(staying[at], from);
            let least = (0..staying.len()).min_by_key(minds)?;
            shifts.push((staying.remove(least), from));
        }
        shifts.sort_unstable();
        Some(shifts)
    }

    /// Homes that go where they are waited for.
    fn homes(&mut self, best: &mut Option<Best>) {
        for (index, home) in self.graph.homes.iter().enumerate() {
            if self.settled[index] {
                continue;
            }
            let at = self.assignment.home_of(index);
            let users = home.users.iter();
            let mut nodes: Vec<_> = users
                .map(|&(user, _)| self.assignment.node_of(user))
                .collect();
            nodes.sort_unstable();
            nodes.dedup();
            for to in nodes.into_iter().filter(|&to| to != at) {
                self.weighed += 1;
                if let Some(weighed) = self.assignment.weigh_home(index, to) {
                    offer(self.params, best, weighed, Why::ToThreads, || {
                        Action::Home(index, to)
                    });
                }
            }
        }
    }

    fn weigh(&mut self, shifts: Vec<Shift>, best: &mut Option<Best>) -> Option<Weighed> {
        self.weighed += 1;
        let weighed = self.assignment.weigh(&shifts)?;
        let sharing = weighed.stall_gain() - weighed.pull;
        let why = if weighed.load > sharing.max(weighed.pull) {
            Why::Balance
        } else if weighed.pull > sharing {
            Why::ToPages
        } else {
            Why::Sharing
        };
        offer(self.params, best, weighed, why, || Action::Threads(shifts));
        Some(weighed)
    }
}

/// Takes an alternative if it is worth it and better than the best so far.
fn offer(
    params: &Parameters,
    best: &mut Option<Best>,
    weighed: Weighed,
    why: Why,
    action: impl FnOnce() -> Action,
) {
    let Some(net) = worth(params, weighed) else {
        return;
    };
    if best.as_ref().is_none_or(|best| net > best.net) {
        *best = Some(Best {
            action: action(),
            weighed,
            why,
            together: Vec::new(),
            net,
        });
    }
}

/// What is saved within the horizon less what it costs, in ns; `None` if it is not worth it.
fn worth(params: &Parameters, weighed: Weighed) -> Option<i128> {
    let (gain, cost) = (i128::from(weighed.gain()), i128::from(weighed.cost));
    let saved = gain * i128::from(params.horizon.0) / 1_000_000_000;
    let is_clear =
        i128::from(weighed.after) * 100 <= i128::from(weighed.before) * i128::from(params.margin);
    let is_worth_it = gain >= i128::from(params.least_gain)
        && is_clear
        && saved > cost * i128::from(params.factor);
    is_worth_it.then_some(saved - cost)
}

mod teams;
#[cfg(test)]
mod tests;

pub(super) use teams::Work;
