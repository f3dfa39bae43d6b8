//! What is to be measured of one workload, the same for both ways to move.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use giantvm_sched::precopy::Terms;

use crate::link::Link;
use crate::protocol::ProtocolKind;
use crate::speed::usual;
use crate::vm::{self, Size};
use crate::work::Work;

/// How long a turn on one node takes, about, and in how many steps at least and at most.
const TURN: Duration = Duration::from_millis(1500);
const STEPS: (u64, u64) = (4, 50_000);

/// One workload on one machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) work: Work,
    pub(crate) size: Size,
    /// Pages that are not zero before the work begins.
    pub(crate) used: u64,
    pub(crate) link: Link,
    pub(crate) protocol: ProtocolKind,
    /// Bytes that a node keeps of pages it had.
    pub(crate) standby: usize,
    pub(crate) terms: Terms,
    /// Steps of a turn on one node.
    pub(crate) turn: u64,
}

impl Plan {
    /// Measures how many steps a turn has, on plain memory.
    pub(crate) fn measured(mut self) -> anyhow::Result<Self> {
        let memory = vm::plain(self.size);
        let (start, mut took) = (Instant::now(), Vec::new());
        while took.len() < 3 || start.elapsed() < TURN / 4 {
            let began = Instant::now();
            self.work.step(&memory, self.size)?;
            took.push(began.elapsed());
        }
        let step = usual(took).max(Duration::from_micros(1));
        let steps = TURN.as_nanos().div_ceil(step.as_nanos());
        self.turn = u64::try_from(steps)
            .unwrap_or(u64::MAX)
            .clamp(STEPS.0, STEPS.1);
        Ok(self)
    }

    /// What memory has to hold after so many steps.
    pub(crate) fn expected(&self, steps: u64) -> anyhow::Result<Vec<AtomicU64>> {
        let memory = vm::plain(self.size);
        vm::fill(&memory, self.used);
        self.work.steps(&memory, self.size, steps)?;
        Ok(memory)
    }
}
