//! Threads that get more done on one processor than on several.
//!
//! Threads that wait for one another's pages nearly all the time make next to nothing of the processors that they
//! have. Taking turns on one node, they lose a part of those, and nothing else. What they lose to pages
//! and what they would lose to turns cannot be compared here: where many threads share few processors, those that
//! stall keep others from nothing. So it is compared what gets done: what the threads of a team compute now, as it
//! is measured, and what the node gives.

use giantvm_core::NodeId;

use super::{Action, Best, Search};
use crate::das::cost::{Shift, Weighed};
use crate::das::doing::Doing;
use crate::das::plan::Why;

/// What is known of a thread's work, in thousandths of a processor.
#[derive(Debug, Clone, Copy)]
pub(in crate::das) struct Work {
    doing: Doing,
    /// What it computes; `None` if that is not known.
    pub(in crate::das) computes: Option<u64>,
    /// What it would compute without losses.
    pub(in crate::das) could: u64,
    /// Of how many a team is that it came together in a while ago; 0 if in none.
    pub(in crate::das) team: usize,
}

impl Work {
    /// Of a thread that needs so much of a processor, in ns a second.
    pub(in crate::das) fn of(doing: &Doing, demand: i64, team: usize) -> Self {
        let demand = u64::try_from(demand / 1_000_000).unwrap_or(0);
        Self {
            computes: doing.computes(),
            doing: *doing,
            could: doing.could_compute(1000_u64.saturating_sub(demand)),
            team,
        }
    }
}

impl Search<'_> {
    /// Teams that come together on one node although that has too few processors for them. How long their threads have
    /// been where they are does not matter: what they get done there is measured, and the same threads do not come
    /// together again soon.
    pub(super) fn teams(&mut self, best: &mut Option<Best>) {
        let teams = std::mem::take(&mut self.teams);
        for team in &teams {
            let mut nodes: Vec<_> = team.iter().map(|&of| self.assignment.node_of(of)).collect();
            nodes.push(self.assignment.idlest());
            nodes.sort_unstable();
            nodes.dedup();
            // The last of equals is taken.
            let near = self.params.near.map(NodeId::index);
            nodes.sort_by_key(|&node| Some(node) == near);
            for to in nodes {
                self.weighed += 1;
                if let Some(together) = self.together(team, to)
                    && best.as_ref().is_none_or(|best| is_better(&together, best))
                {
                    *best = Some(together);
                }
            }
        }
        self.teams = teams;
    }

    fn together(&self, team: &[usize], to: usize) -> Option<Best> {
        let away = team.iter().filter(|&&of| self.assignment.node_of(of) != to);
        let shifts: Vec<Shift> = away.map(|&of| (of, to)).collect();
        if shifts.is_empty() || !self.assignment.fits(team, to) {
            return None;
        }
        let works = team.iter().map(|&of| self.works.get(of));
        let works = works.collect::<Option<Vec<_>>>()?;
        let stalls = Doing::stall_much(works.iter().map(|of| &of.doing));
        // What has come together stays, unless it is found to be a part of something larger.
        let mut movers = shifts.iter().map(|&(thread, _)| self.works.get(thread));
        let free = movers.all(|of| of.is_some_and(|of| of.team < team.len()));
        if !stalls || !free {
            return None;
        }
        let now: u64 = works.iter().map(|of| of.computes).sum::<Option<u64>>()?;
        let could: u64 = works.iter().map(|of| of.could).sum();
        let room = self.assignment.room_for(team, to).unsigned_abs();
        let (lost, still) = self.assignment.lost_by(team, to);
        if lost <= 0 {
            return None;
        }
        let kept = (lost - still).max(0).unsigned_abs() * 1000 / lost.unsigned_abs();
        let then = could.min(room) * kept / 1000;
        // As for other steps, what is lost to doubt.
        let margin = u64::from(self.params.margin);
        if then * margin < now * 100 {
            return None;
        }
        let (cost, gain) = (self.assignment.cost_of(&shifts), (then - now) * 1_000_000);
        let saved = i128::from(gain) * i128::from(self.params.horizon.0) / 1_000_000_000;
        let is_worth_it = gain >= self.params.least_gain
            && saved > i128::from(cost) * i128::from(self.params.factor);
        is_worth_it.then(|| Best {
            weighed: Weighed {
                before: gain.cast_signed(),
                cost,
                ..Weighed::default()
            },
            action: Action::Threads(shifts),
            why: Why::Sharing,
            together: team.to_vec(),
            net: saved - i128::from(cost),
        })
    }
}

/// Whether one of two is better; of those for the same team the later one, if it is not clearly worse.
fn is_better(new: &Best, best: &Best) -> bool {
    let alike = new.together == best.together;
    if alike {
        new.net * 10 > best.net * 9
    } else {
        new.net > best.net
    }
}
