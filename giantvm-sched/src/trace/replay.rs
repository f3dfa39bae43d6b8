//! Running a trace through a scheduler.

use super::Trace;
use crate::schedule::{Decision, Nanos, Scheduler};

/// What a scheduler said to a trace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replay {
    /// Its decisions, with the times of the events that they answer.
    pub decisions: Vec<(Nanos, Decision)>,
    /// Events that it refused.
    pub refused: u64,
}

impl Trace {
    /// Tells a scheduler all that happened, and returns what it said.
    pub fn replay(&self, scheduler: &mut dyn Scheduler) -> Replay {
        let (mut replay, mut out) = (Replay::default(), Vec::new());
        for &(now, event) in &self.events {
            if scheduler.handle(now, event, &mut out).is_err() {
                replay.refused += 1;
            }
            replay.decisions.extend(out.drain(..).map(|of| (now, of)));
        }
        replay
    }
}
