//! The knobs of DaS, their units, and where their defaults come from.

use giantvm_core::NodeId;

use crate::schedule::{GroupSize, Nanos};

/// What a decision weighs with. The defaults are for threads of a guest over links of tens of
/// microseconds.
///
/// Whatever is set, values outside the ranges named here are taken to be the nearest in them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameters {
    /// How often a plan is made: 100 ms, 1 ms at least. Automatic NUMA balancing of Linux samples a
    /// task once a second at first, but has to provoke the faults that it counts; here they come
    /// by themselves and cost time until something is done.
    pub period: Nanos,
    /// After so many periods a fault counts half: 16, from 1 to 1000. Long enough to smooth what a
    /// program does in turns, short enough to see its next phase within seconds.
    pub half_life: u32,
    /// How much slower a group is forgotten whose users are all on one node: 16 times, from 1 to
    /// 1000. They do not fault on it any more, so that no news is good news for a while.
    pub memory: u32,
    /// What a move has to earn back, and the time that it has for that: 1 s, from 1 ms to 100 s.
    pub horizon: Nanos,
    /// A move's gain over the horizon must be so many times its cost: 2, at least 1.
    pub factor: u32,
    /// What a thread costs in lost time where it is going, in percent of what it costs where it is,
    /// must be no more than this: 75, from 0 to 99. Linux asks the same 3:4 before a page follows
    /// a task to another node.
    pub margin: u32,
    /// The least gain worth a move, in ns a second: 1,000,000, a thousandth of a processor.
    pub least_gain: u64,
    /// What moving a thread takes by itself: 50 us, which is a wake-up on another node. For a vCPU
    /// say 5 ms. At most 10 s.
    pub move_cost: Nanos,
    /// How long a thread stays on a node that it was moved to: 1 s. It doubles with each further
    /// move, up to 64 times, as TCP doubles its time-out, until the thread was left alone for eight
    /// times as long.
    pub residency: Nanos,
    /// Steps of a plan at most: 16, from 1 to 1024. What is left is for the next.
    pub steps: usize,
    /// The pages of a group: 16.
    pub group: GroupSize,
    /// The node whose answer threads wait for whenever they meet: none. Of several places that are as good it is the
    /// best.
    pub near: Option<NodeId>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            period: Nanos(100_000_000),
            half_life: 16,
            memory: 16,
            horizon: Nanos(1_000_000_000),
            factor: 2,
            margin: 75,
            least_gain: 1_000_000,
            move_cost: Nanos(50_000),
            residency: Nanos(1_000_000_000),
            steps: 16,
            group: GroupSize::DEFAULT,
            near: None,
        }
    }
}

impl Parameters {
    /// The same, with every value in its range.
    pub(super) fn checked(mut self) -> Self {
        self.period = self.period.clamp(Nanos(1_000_000), Nanos(60_000_000_000));
        self.half_life = self.half_life.clamp(1, 1000);
        self.memory = self.memory.clamp(1, 1000);
        self.horizon = self.horizon.clamp(Nanos(1_000_000), Nanos(100_000_000_000));
        self.factor = self.factor.clamp(1, 1000);
        self.margin = self.margin.min(99);
        self.least_gain = self.least_gain.clamp(1, 1_000_000_000);
        self.move_cost = self.move_cost.min(Nanos(10_000_000_000));
        self.steps = self.steps.clamp(1, 1024);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_their_ranges() {
        assert_eq!(Parameters::default().checked(), Parameters::default());
    }
}
