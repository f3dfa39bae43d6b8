//! The model as a scheduler.

use std::collections::BTreeMap;

use giantvm_core::{NodeId, VcpuId};

use super::balance::{Domain, IdleTime, for_new_idle};
use super::{HOT, select};
use crate::schedule::{
    Decision, Event, EventError, Machine, Nanos, RunQueues, SLICE, Scheduler, ThreadId,
};

/// Balances that have to fail before cache-hot threads are taken, too.
const PATIENCE: u32 = 3;
/// After how long half of a waker's flips are forgotten.
const FLIP_LIFE: Nanos = Nanos(1_000_000_000);

/// What is remembered of a thread.
#[derive(Debug, Clone, Copy, Default)]
struct Past {
    /// When it last stopped running.
    ran: Option<Nanos>,
    /// Whom it woke last, and how often that changed.
    woke: Option<ThreadId>,
    flips: usize,
    halved: Nanos,
}

#[derive(Debug, Clone, Copy)]
struct Vcpu {
    turn: Nanos,
    idle: IdleTime,
    /// When it balances next, in each domain.
    balances: [Nanos; Domain::ALL.len()],
    failed: u32,
}

/// The model of Linux' default: what it covers is at [the module](crate::fair).
///
/// ```
/// use giantvm_core::VcpuId;
/// use giantvm_sched::fair::Fair;
/// use giantvm_sched::schedule::{Decision, Event, Machine, Nanos, Scheduler, ThreadId};
///
/// let mut fair = Fair::new(Machine::new(&[1, 1])?);
/// let (mut out, by) = (Vec::new(), VcpuId::BOOT);
/// for thread in [ThreadId(1), ThreadId(2)] {
///     fair.handle(Nanos(0), Event::Spawn { thread, by }, &mut out)?;
/// }
/// // The second thread goes where there is no other, whatever it shares with the first.
/// assert_eq!(out[1], Decision::Run { vcpu: VcpuId::new(1)?, thread: Some(ThreadId(2)) });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Fair {
    machine: Machine,
    queues: RunQueues,
    vcpus: Vec<Vcpu>,
    pasts: BTreeMap<ThreadId, Past>,
}

impl Fair {
    /// A scheduler without threads. It looks at vCPUs and nodes, never at links.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        let vcpu = Vcpu {
            turn: Nanos(0),
            idle: IdleTime::NEW,
            balances: [Nanos(0); Domain::ALL.len()],
            failed: 0,
        };
        Self {
            queues: RunQueues::new(&machine),
            vcpus: vec![vcpu; machine.vcpu_count()],
            pasts: BTreeMap::new(),
            machine,
        }
    }

    /// Notes who stops running and which vCPUs are idle, after decisions were made.
    fn note(&mut self, now: Nanos, out: &[Decision]) {
        for decision in out {
            if let &Decision::Run { vcpu, thread } = decision {
                let of = &mut self.vcpus[vcpu.index()];
                of.turn = now;
                match thread {
                    Some(_) => of.idle.ends(now),
                    None => of.idle.begins(now),
                }
            }
        }
    }

    fn ran(&mut self, now: Nanos, thread: Option<ThreadId>) {
        if let Some(past) = thread.and_then(|thread| self.pasts.get_mut(&thread)) {
            past.ran = Some(now);
        }
    }

    /// Whether the waker may pull the woken towards it: not if it wakes many, as Linux'
    /// `wake_wide` has it.
    fn may_pull(&mut self, now: Nanos, waker: ThreadId, woken: ThreadId, by: VcpuId) -> bool {
        let Some(past) = self.pasts.get_mut(&waker) else {
            return true;
        };
        if now.since(past.halved) > FLIP_LIFE {
            past.flips /= 2;
            past.halved = now;
        }
        if past.woke != Some(woken) {
            past.woke = Some(woken);
            past.flips += 1;
        }
        let of = |thread| self.pasts.get(&thread).map_or(0, |past| past.flips);
        let (less, more) = (of(waker).min(of(woken)), of(waker).max(of(woken)));
        let node = self.machine.node_of(by).unwrap_or(NodeId::ZERO);
        let factor = self.machine.vcpus_of(node).count();
        less < factor || more < less * factor
    }

    fn is_hot(&self, now: Nanos, thread: ThreadId) -> bool {
        let ran = self.pasts.get(&thread).and_then(|past| past.ran);
        ran.is_some_and(|ran| now.since(ran) < HOT)
    }

    /// Takes up to `most` threads from the queue of `from`. Returns whether there were any.
    fn pull(
        &mut self,
        now: Nanos,
        (from, to): (VcpuId, VcpuId),
        most: usize,
        out: &mut Vec<Decision>,
    ) -> bool {
        let patient = self.vcpus[to.index()].failed <= PATIENCE;
        let ready = self.queues.ready(from);
        let cold = ready.filter(|&thread| !(patient && self.is_hot(now, thread)));
        let taken: Vec<_> = cold.take(most).collect();
        for &thread in &taken {
            self.queues.migrate(thread, to, out);
        }
        !taken.is_empty()
    }

    /// A vCPU without work takes a thread from the longest queue, of its node or else of others.
    fn new_idle(&mut self, now: Nanos, vcpu: VcpuId, out: &mut Vec<Decision>) {
        if self.queues.load(vcpu) > 0 || !self.vcpus[vcpu.index()].idle.is_worth_a_search() {
            return;
        }
        for domain in Domain::ALL {
            let from = for_new_idle(&self.machine, &self.queues, vcpu, domain);
            if from.is_some_and(|from| self.pull(now, (from, vcpu), 1, out)) {
                return;
            }
        }
    }

    fn balance(&mut self, now: Nanos, vcpu: VcpuId, out: &mut Vec<Decision>) {
        let node = self.machine.node_of(vcpu).unwrap_or(NodeId::ZERO);
        for (at, domain) in Domain::ALL.into_iter().enumerate() {
            if now < self.vcpus[vcpu.index()].balances[at] {
                continue;
            }
            let is_busy = self.queues.load(vcpu) > 0;
            let interval = domain.interval(&self.machine, node, is_busy);
            self.vcpus[vcpu.index()].balances[at] = now.plus(interval);
            if !domain.is_balanced_by(&self.machine, &self.queues, vcpu) {
                continue;
            }
            if let Some((from, amount)) = domain.busiest(&self.machine, &self.queues, vcpu) {
                let moved = self.pull(now, (from, vcpu), amount, out);
                let failed = &mut self.vcpus[vcpu.index()].failed;
                *failed = if moved { 0 } else { failed.saturating_add(1) };
            }
        }
    }

    fn check(&self, node: NodeId) -> Result<(), EventError> {
        let known = self.machine.has_node(node);
        known.then_some(()).ok_or(EventError::Node(node))
    }

    fn act(&mut self, now: Nanos, event: Event, out: &mut Vec<Decision>) -> Result<(), EventError> {
        match event {
            Event::Spawn { thread, by } => {
                self.queues.check(by)?;
                let vcpu = select::for_new(&self.machine, &self.queues, by);
                self.queues.spawn(thread, vcpu, out)?;
                self.pasts.insert(thread, Past::default());
            }
            Event::Wake { thread, by } => {
                by.map_or(Ok(()), |by| self.queues.check(by))?;
                let last = self.queues.check_blocked(thread)?;
                let pulls = by.filter(|&by| {
                    let waker = self.queues.running(by);
                    waker.is_none_or(|waker| self.may_pull(now, waker, thread, by))
                });
                let vcpu = select::for_woken(&self.machine, &self.queues, last, pulls);
                self.queues.wake(thread, vcpu, out)?;
            }
            Event::Block { thread } => {
                let vcpu = self.queues.block(thread, out)?;
                self.ran(now, Some(thread));
                self.new_idle(now, vcpu, out);
            }
            Event::Exit { thread } => {
                let vcpu = self.queues.exit(thread, out)?;
                self.pasts.remove(&thread);
                self.new_idle(now, vcpu, out);
            }
            Event::Tick { vcpu } => {
                self.queues.check(vcpu)?;
                if now.since(self.vcpus[vcpu.index()].turn) >= SLICE {
                    self.ran(now, self.queues.running(vcpu));
                    self.queues.rotate(vcpu, out);
                }
                self.balance(now, vcpu, out);
            }
            Event::Idle { vcpu } => {
                self.queues.check(vcpu)?;
                self.new_idle(now, vcpu, out);
            }
            // It does not look at these, and refuses what cannot be all the same.
            Event::Faults(faults) => {
                self.check(faults.home)?;
                let known = self.queues.vcpu_of(faults.thread);
                known.ok_or(EventError::Unknown(faults.thread))?;
            }
            Event::Ran { vcpu, .. } => self.queues.check(vcpu)?,
            Event::Link { a, b, .. } => self.check(a).and_then(|()| self.check(b))?,
            Event::Capacity { node, .. } => self.check(node)?,
        }
        Ok(())
    }
}

impl Scheduler for Fair {
    fn name(&self) -> &'static str {
        "fair"
    }

    fn handle(
        &mut self,
        now: Nanos,
        event: Event,
        out: &mut Vec<Decision>,
    ) -> Result<(), EventError> {
        let told = out.len();
        self.act(now, event, out)?;
        self.note(now, &out[told..]);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
