//! Recording what a scheduler is told.

use super::Trace;
use crate::schedule::{Decision, Event, EventError, Machine, Nanos, Scheduler};

/// A scheduler that writes down what it is told, and passes it on.
///
/// Events that the scheduler refuses are not written down: they change nothing.
///
/// ```
/// use giantvm_core::VcpuId;
/// use giantvm_sched::fair::Fair;
/// use giantvm_sched::schedule::{Event, Machine, Nanos, Scheduler, ThreadId};
/// use giantvm_sched::trace::Recorder;
///
/// let machine = Machine::new(&[1])?;
/// let mut recorder = Recorder::new(Fair::new(machine.clone()), &machine);
/// let event = Event::Spawn { thread: ThreadId(1), by: VcpuId::BOOT };
/// recorder.handle(Nanos(0), event, &mut Vec::new())?;
/// assert!(recorder.trace().to_string().ends_with("0 spawn 1 0\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Recorder<S> {
    scheduler: S,
    trace: Trace,
    missed: u64,
}

impl<S> Recorder<S> {
    /// Records what `scheduler` is told of `machine`.
    pub fn new(scheduler: S, machine: &Machine) -> Self {
        Self {
            scheduler,
            trace: Trace::new(machine),
            missed: 0,
        }
    }

    /// What was recorded.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Events that found no room in the trace. What is recorded is then the beginning.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    /// The scheduler.
    #[must_use]
    pub const fn scheduler(&self) -> &S {
        &self.scheduler
    }
}

impl<S: Scheduler> Scheduler for Recorder<S> {
    fn name(&self) -> &'static str {
        self.scheduler.name()
    }

    fn handle(
        &mut self,
        now: Nanos,
        event: Event,
        out: &mut Vec<Decision>,
    ) -> Result<(), EventError> {
        self.scheduler.handle(now, event, out)?;
        // A hole would make another run of it, so nothing follows the first miss.
        if self.missed > 0 || !self.trace.push(now, event) {
            self.missed += 1;
        }
        Ok(())
    }
}
