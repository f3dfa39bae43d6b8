//! Run queues: what schedulers have in common.

use std::collections::{BTreeMap, VecDeque};

use giantvm_core::{NodeId, VcpuId};

use super::{Decision, EventError, MAX_THREADS, Machine, ThreadId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Ready,
    Blocked,
}

#[derive(Debug, Clone, Copy)]
struct Seat {
    vcpu: VcpuId,
    state: State,
}

#[derive(Debug, Clone, Default)]
struct Queue {
    running: Option<ThreadId>,
    ready: VecDeque<ThreadId>,
}

/// One queue a vCPU, first in first out, and the thread that runs there.
///
/// Every thread belongs to one vCPU, also while it is blocked, and no vCPU is idle whose queue is
/// not empty. Policies decide who goes where; this keeps the books and says what changes.
///
/// ```
/// use giantvm_core::VcpuId;
/// use giantvm_sched::schedule::{Decision, Machine, RunQueues, ThreadId};
///
/// let (mut queues, mut out) = (RunQueues::new(&Machine::new(&[1])?), Vec::new());
/// let (vcpu, thread) = (VcpuId::BOOT, ThreadId(7));
/// queues.spawn(thread, vcpu, &mut out)?;
/// assert_eq!(out, [Decision::Run { vcpu, thread: Some(thread) }]);
/// assert_eq!(queues.load(vcpu), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RunQueues {
    queues: Vec<Queue>,
    seats: BTreeMap<ThreadId, Seat>,
}

impl RunQueues {
    /// Empty queues, one for each vCPU.
    #[must_use]
    pub fn new(machine: &Machine) -> Self {
        Self {
            queues: vec![Queue::default(); machine.vcpu_count()],
            seats: BTreeMap::new(),
        }
    }

    /// Fails for a vCPU that is not there.
    ///
    /// # Errors
    /// [`EventError::Vcpu`].
    pub fn check(&self, vcpu: VcpuId) -> Result<(), EventError> {
        let known = vcpu.index() < self.queues.len();
        known.then_some(()).ok_or(EventError::Vcpu(vcpu))
    }

    /// Fails for a thread that cannot be spawned.
    ///
    /// # Errors
    /// [`EventError::Twice`], [`EventError::Full`].
    pub fn check_new(&self, thread: ThreadId) -> Result<(), EventError> {
        if self.seats.contains_key(&thread) {
            return Err(EventError::Twice(thread));
        }
        if self.seats.len() >= MAX_THREADS {
            return Err(EventError::Full(thread));
        }
        Ok(())
    }

    /// The vCPU of a thread that is blocked.
    ///
    /// # Errors
    /// [`EventError::Unknown`], [`EventError::Awake`].
    pub fn check_blocked(&self, thread: ThreadId) -> Result<VcpuId, EventError> {
        let seat = self.seats.get(&thread).ok_or(EventError::Unknown(thread))?;
        match seat.state {
            State::Blocked => Ok(seat.vcpu),
            State::Running | State::Ready => Err(EventError::Awake(thread)),
        }
    }

    /// The vCPU that a thread belongs to.
    #[must_use]
    pub fn vcpu_of(&self, thread: ThreadId) -> Option<VcpuId> {
        self.seats.get(&thread).map(|seat| seat.vcpu)
    }

    /// What a vCPU runs.
    #[must_use]
    pub fn running(&self, vcpu: VcpuId) -> Option<ThreadId> {
        self.queues
            .get(vcpu.index())
            .and_then(|queue| queue.running)
    }

    /// What waits for a vCPU, longest first.
    pub fn ready(&self, vcpu: VcpuId) -> impl DoubleEndedIterator<Item = ThreadId> + '_ {
        let queue = self.queues.get(vcpu.index());
        queue
            .into_iter()
            .flat_map(|queue| queue.ready.iter().copied())
    }

    /// Threads that run on a vCPU or wait for it.
    #[must_use]
    pub fn load(&self, vcpu: VcpuId) -> usize {
        let queue = self.queues.get(vcpu.index());
        queue.map_or(0, |queue| {
            queue.ready.len() + usize::from(queue.running.is_some())
        })
    }

    /// The vCPU of a node with the fewest threads, the first of equals; `None` for a node without.
    #[must_use]
    pub fn least_loaded(&self, machine: &Machine, node: NodeId) -> Option<VcpuId> {
        machine.vcpus_of(node).min_by_key(|&vcpu| self.load(vcpu))
    }

    /// A new thread, ready, on a vCPU that there is.
    ///
    /// # Errors
    /// [`EventError`] if it cannot be spawned.
    pub fn spawn(
        &mut self,
        thread: ThreadId,
        vcpu: VcpuId,
        out: &mut Vec<Decision>,
    ) -> Result<(), EventError> {
        self.check(vcpu)?;
        self.check_new(thread)?;
        let state = State::Blocked;
        self.seats.insert(thread, Seat { vcpu, state });
        self.enqueue(thread, vcpu, out);
        Ok(())
    }

    /// A blocked thread is ready, on a vCPU that there is.
    ///
    /// # Errors
    /// [`EventError`] if it is not blocked.
    pub fn wake(
        &mut self,
        thread: ThreadId,
        vcpu: VcpuId,
        out: &mut Vec<Decision>,
    ) -> Result<(), EventError> {
        self.check(vcpu)?;
        self.check_blocked(thread)?;
        self.migrate(thread, vcpu, out);
        Ok(())
    }

    /// The thread that runs on a vCPU waits for something. Returns the vCPU, which runs what comes
    /// next, if anything does.
    ///
    /// # Errors
    /// [`EventError`] if it does not run.
    pub fn block(
        &mut self,
        thread: ThreadId,
        out: &mut Vec<Decision>,
    ) -> Result<VcpuId, EventError> {
        let seat = self
            .seats
            .get_mut(&thread)
            .ok_or(EventError::Unknown(thread))?;
        if seat.state != State::Running {
            return Err(EventError::NotRunning(thread));
        }
        seat.state = State::Blocked;
        let vcpu = seat.vcpu;
        self.next(vcpu, out);
        Ok(vcpu)
    }

    /// A thread is done. Returns its vCPU.
    ///
    /// # Errors
    /// [`EventError::Unknown`].
    pub fn exit(
        &mut self,
        thread: ThreadId,
        out: &mut Vec<Decision>,
    ) -> Result<VcpuId, EventError> {
        let seat = self
            .seats
            .remove(&thread)
            .ok_or(EventError::Unknown(thread))?;
        self.leave(thread, seat, out);
        Ok(seat.vcpu)
    }

    /// The next in the queue has its turn, and who ran goes to the end of it.
    pub fn rotate(&mut self, vcpu: VcpuId, out: &mut Vec<Decision>) {
        let Some(queue) = self.queues.get_mut(vcpu.index()) else {
            return;
        };
        if queue.ready.is_empty() {
            return;
        }
        if let Some(thread) = queue.running {
            queue.ready.push_back(thread);
            self.set(thread, State::Ready);
        }
        self.next(vcpu, out);
    }

    /// A thread belongs to another vCPU from now on. If it was blocked it is ready now; use
    /// [`settle`](Self::settle) for one that stays so.
    pub fn migrate(&mut self, thread: ThreadId, to: VcpuId, out: &mut Vec<Decision>) {
        let (Some(&seat), Ok(())) = (self.seats.get(&thread), self.check(to)) else {
            return;
        };
        if seat.vcpu != to {
            let from = seat.vcpu;
            out.push(Decision::Migrate { thread, from, to });
        } else if seat.state != State::Blocked {
            return;
        }
        self.leave(thread, seat, out);
        self.enqueue(thread, to, out);
    }

    /// A thread belongs to another vCPU from now on, in whatever state it is.
    pub fn settle(&mut self, thread: ThreadId, to: VcpuId, out: &mut Vec<Decision>) {
        match self.seats.get_mut(&thread) {
            Some(seat) if seat.state == State::Blocked && seat.vcpu != to => {
                let from = std::mem::replace(&mut seat.vcpu, to);
                out.push(Decision::Migrate { thread, from, to });
            }
            Some(seat) if seat.state != State::Blocked => self.migrate(thread, to, out),
            _ => {}
        }
    }

    fn set(&mut self, thread: ThreadId, state: State) {
        if let Some(seat) = self.seats.get_mut(&thread) {
            seat.state = state;
        }
    }

    fn enqueue(&mut self, thread: ThreadId, vcpu: VcpuId, out: &mut Vec<Decision>) {
        let state = State::Ready;
        self.seats.insert(thread, Seat { vcpu, state });
        let queue = &mut self.queues[vcpu.index()];
        queue.ready.push_back(thread);
        if queue.running.is_none() {
            self.next(vcpu, out);
        }
    }

    /// Takes a thread off its vCPU, which runs the next one if it ran this.
    fn leave(&mut self, thread: ThreadId, seat: Seat, out: &mut Vec<Decision>) {
        match seat.state {
            State::Running => self.next(seat.vcpu, out),
            State::Ready => self.queues[seat.vcpu.index()]
                .ready
                .retain(|&of| of != thread),
            State::Blocked => {}
        }
    }

    fn next(&mut self, vcpu: VcpuId, out: &mut Vec<Decision>) {
        let queue = &mut self.queues[vcpu.index()];
        queue.running = queue.ready.pop_front();
        let thread = queue.running;
        if let Some(thread) = thread {
            self.set(thread, State::Running);
        }
        out.push(Decision::Run { vcpu, thread });
    }
}

#[cfg(test)]
mod tests;
