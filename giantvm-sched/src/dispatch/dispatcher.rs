//! The state machine.

use std::collections::{BTreeMap, BTreeSet};

use giantvm_core::VcpuId;

use super::{Go, Report, ReportError, Scheduler, ThreadId};
use crate::schedule::{Decision, Event, EventError, MAX_THREADS, Machine, Nanos};

/// What is known of a vCPU.
#[derive(Debug, Clone, Copy, Default)]
struct Seat {
    /// What the scheduler wants it to run.
    order: Option<ThreadId>,
    /// What it runs, and nobody else can until it says something.
    holds: Option<ThreadId>,
    /// Whether it waits to be told.
    waits: bool,
}

/// Lets vCPUs run what a scheduler decides.
///
/// ```
/// use giantvm_core::VcpuId;
/// use giantvm_sched::dispatch::{Dispatcher, Go, Report};
/// use giantvm_sched::fair::Fair;
/// use giantvm_sched::schedule::{Machine, Nanos, ThreadId};
///
/// let machine = Machine::new(&[1])?;
/// let mut dispatcher = Dispatcher::new(Box::new(Fair::new(machine.clone())), &machine);
/// let (mut out, vcpu, thread) = (Vec::new(), VcpuId::BOOT, Some(ThreadId(0)));
/// dispatcher.report(Nanos(0), vcpu, Report::Spawn(1), &mut out)?;
/// assert_eq!(out, [Go { vcpu, thread }]);
/// out.clear();
/// dispatcher.report(Nanos(9), vcpu, Report::Exit, &mut out)?;
/// assert_eq!(out, [Go { vcpu, thread: None }]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Dispatcher {
    scheduler: Box<dyn Scheduler + Send>,
    seats: Vec<Seat>,
    /// Threads that are not done.
    alive: BTreeSet<ThreadId>,
    /// Those that came to the point where all meet.
    met: BTreeSet<ThreadId>,
    /// Those of them that the scheduler takes for ready.
    late: BTreeSet<ThreadId>,
    /// Whether there was a team.
    spawned: bool,
    /// Moves from one vCPU to another, by thread.
    moves: BTreeMap<ThreadId, u64>,
    /// Kept between events so that none allocates.
    decisions: Vec<Decision>,
}

impl Dispatcher {
    /// One for the machine that the scheduler was made for.
    #[must_use]
    pub fn new(scheduler: Box<dyn Scheduler + Send>, machine: &Machine) -> Self {
        Self {
            scheduler,
            seats: vec![Seat::default(); machine.vcpu_count()],
            alive: BTreeSet::new(),
            met: BTreeSet::new(),
            late: BTreeSet::new(),
            spawned: false,
            moves: BTreeMap::new(),
            decisions: Vec::new(),
        }
    }

    /// The scheduler's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.scheduler.name()
    }

    /// What a vCPU runs now.
    #[must_use]
    pub fn running(&self, vcpu: VcpuId) -> Option<ThreadId> {
        self.seats.get(vcpu.index()).and_then(|seat| seat.holds)
    }

    /// How often each thread was given to another vCPU, of those that ever were.
    #[must_use]
    pub const fn moves(&self) -> &BTreeMap<ThreadId, u64> {
        &self.moves
    }

    /// Takes what a vCPU says at `now`, and adds who is to go on to `out`.
    ///
    /// # Errors
    /// [`ReportError`] if that cannot be; then the machine is not to be trusted any more.
    pub fn report(
        &mut self,
        now: Nanos,
        vcpu: VcpuId,
        report: Report,
        out: &mut Vec<Go>,
    ) -> Result<(), ReportError> {
        let seat = self
            .seats
            .get(vcpu.index())
            .ok_or(ReportError::Vcpu(vcpu))?;
        if seat.waits {
            return Err(ReportError::Waits(vcpu));
        }
        let held = seat.holds;
        let holds = held.is_some();
        let wrong = ReportError::Thread {
            vcpu,
            report,
            holds,
        };
        match (report, held) {
            (Report::Spawn(count), None) => {
                let fits = (1..=MAX_THREADS).contains(&(count as usize));
                if self.spawned || !fits {
                    return Err(ReportError::Team(count));
                }
                self.let_go(vcpu);
                self.spawned = true;
                for thread in (0..count).map(ThreadId) {
                    self.alive.insert(thread);
                    self.feed(now, Event::Spawn { thread, by: vcpu })?;
                }
            }
            (Report::Idle, None) => {
                self.let_go(vcpu);
                self.feed(now, Event::Idle { vcpu })?;
            }
            (Report::Tick, Some(_)) => {
                self.let_go(vcpu);
                self.feed(now, Event::Tick { vcpu })?;
            }
            (Report::Meet, Some(thread)) => {
                self.let_go(vcpu);
                self.met.insert(thread);
                if self.met.len() < self.alive.len() {
                    self.block(now, thread)?;
                } else {
                    self.release(now, Some((thread, vcpu)))?;
                }
            }
            (Report::Exit, Some(thread)) => {
                self.let_go(vcpu);
                self.alive.remove(&thread);
                self.feed(now, Event::Exit { thread })?;
                if !self.alive.is_empty() && self.met.len() == self.alive.len() {
                    self.release(now, None)?;
                }
            }
            (Report::Spawn(_) | Report::Idle, Some(_))
            | (Report::Tick | Report::Meet | Report::Exit, None) => return Err(wrong),
        }
        self.let_go_on(out);
        Ok(())
    }

    /// The timer of all vCPUs that wait: they look for work, as those that run do at each of their ticks.
    ///
    /// # Errors
    /// As of [`report`](Self::report).
    pub fn tick(&mut self, now: Nanos, out: &mut Vec<Go>) -> Result<(), ReportError> {
        if self.alive.is_empty() {
            return Ok(());
        }
        for at in 0..self.seats.len() {
            let waits = self.seats[at].waits && self.seats[at].order.is_none();
            if let Some(vcpu) = VcpuId::try_from(at).ok().filter(|_| waits) {
                self.feed(now, Event::Tick { vcpu })?;
            }
        }
        self.let_go_on(out);
        Ok(())
    }

    /// Tells the scheduler something that is not about who runs: processor time, faults, links, capacities. What is
    /// about a thread that is done is dropped, and so is the time of one that is to make room for another, for
    /// which it would count.
    ///
    /// # Errors
    /// As of [`report`](Self::report).
    pub fn tell(&mut self, now: Nanos, event: Event, out: &mut Vec<Go>) -> Result<(), ReportError> {
        match event {
            Event::Faults(faults) if !self.alive.contains(&faults.thread) => Ok(()),
            Event::Ran { vcpu, .. } if self.is_to_change(vcpu) => Ok(()),
            Event::Ran { .. } | Event::Faults(_) | Event::Link { .. } | Event::Capacity { .. } => {
                self.feed(now, event)?;
                self.let_go_on(out);
                Ok(())
            }
            Event::Spawn { .. }
            | Event::Wake { .. }
            | Event::Block { .. }
            | Event::Exit { .. }
            | Event::Tick { .. }
            | Event::Idle { .. } => Ok(()),
        }
    }

    /// Whether a vCPU runs a thread that the scheduler takes for another.
    fn is_to_change(&self, vcpu: VcpuId) -> bool {
        let seat = self.seats.get(vcpu.index());
        seat.is_some_and(|seat| seat.holds != seat.order)
    }

    /// A vCPU gives back what it runs, and waits.
    fn let_go(&mut self, vcpu: VcpuId) {
        let seat = &mut self.seats[vcpu.index()];
        (seat.holds, seat.waits) = (None, true);
    }

    /// A thread waits for its team.
    fn block(&mut self, now: Nanos, thread: ThreadId) -> Result<(), EventError> {
        if self.seats.iter().any(|seat| seat.order == Some(thread)) {
            self.feed(now, Event::Block { thread })
        } else {
            self.late.insert(thread);
            Ok(())
        }
    }

    /// All of a team have met. The last one, if it came by itself, wakes the others and runs on.
    fn release(&mut self, now: Nanos, last: Option<(ThreadId, VcpuId)>) -> Result<(), EventError> {
        let by = last.map(|(_, vcpu)| vcpu);
        for thread in std::mem::take(&mut self.met) {
            let is_last = last.is_some_and(|(last, _)| last == thread);
            if !is_last && !self.late.remove(&thread) {
                self.feed(now, Event::Wake { thread, by })?;
            }
        }
        Ok(())
    }

    /// Gives the scheduler an event, and takes what it decides.
    fn feed(&mut self, now: Nanos, event: Event) -> Result<(), EventError> {
        let mut decisions = std::mem::take(&mut self.decisions);
        decisions.clear();
        let mut fed = self.scheduler.handle(now, event, &mut decisions);
        let mut at = 0;
        // Each late thread adds to the decisions once.
        while let (Ok(()), Some(&decision)) = (&fed, decisions.get(at)) {
            at += 1;
            match decision {
                Decision::Run { vcpu, thread } => {
                    self.seats[vcpu.index()].order = thread;
                    if let Some(thread) = thread.filter(|thread| self.late.remove(thread)) {
                        // Only if this is what it runs after all that was decided so far.
                        let event = Event::Block { thread };
                        let is_last = !decisions[at..].iter().any(
                            |later| matches!(later, Decision::Run { vcpu: of, .. } if *of == vcpu),
                        );
                        if is_last {
                            fed = self.scheduler.handle(now, event, &mut decisions);
                        } else {
                            self.late.insert(thread);
                        }
                    }
                }
                Decision::Migrate { thread, .. } => *self.moves.entry(thread).or_default() += 1,
                // Homes are the protocol's.
                Decision::Rehome { .. } => {}
            }
        }
        self.decisions = decisions;
        fed
    }

    /// Tells vCPUs that wait to go on, as far as the threads that they are to run are free.
    fn let_go_on(&mut self, out: &mut Vec<Go>) {
        let over = self.spawned && self.alive.is_empty();
        for at in 0..self.seats.len() {
            let Seat { order, waits, .. } = self.seats[at];
            let is_free = |thread| !self.seats.iter().any(|seat| seat.holds == Some(thread));
            let ready = if over {
                true
            } else {
                order.is_some_and(is_free)
            };
            if let Some(vcpu) = VcpuId::try_from(at).ok().filter(|_| waits && ready) {
                let thread = order.filter(|_| !over);
                let seat = &mut self.seats[at];
                (seat.holds, seat.waits) = (thread, false);
                out.push(Go { vcpu, thread });
            }
        }
    }
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher")
            .field("scheduler", &self.scheduler.name())
            .field("seats", &self.seats)
            .field("met", &self.met)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
