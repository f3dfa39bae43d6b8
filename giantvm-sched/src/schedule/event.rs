//! What a scheduler is told, and what it says.

use giantvm_core::{NodeId, VcpuId};

use super::{MAX_THREADS, Nanos, PageGroup, ThreadId};

/// Remote faults of one thread in one group of pages, since it was last told of.
///
/// Only those that another node had to answer: a fault that its own node answers alone would be no
/// better anywhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Who waited.
    pub thread: ThreadId,
    /// For what.
    pub group: PageGroup,
    /// Faults of loads.
    pub reads: u32,
    /// Faults of stores.
    pub writes: u32,
    /// How long it waited, all together.
    pub stall: Nanos,
    /// The pages' home, or as far as the engine knows, where they came from.
    pub home: NodeId,
}

/// What a node can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Processor time that it gives, in thousandths of a processor. At first a thousand a vCPU;
    /// less if its host has other work.
    pub millicpus: u32,
    /// The most threads that may be placed on it by choice. At first [`MAX_THREADS`].
    pub threads: usize,
    /// Page groups whose home it may yet become. At first as many as one likes.
    pub groups: u64,
}

impl Capacity {
    /// What a node with so many vCPUs can take, if nothing limits it.
    #[must_use]
    pub fn of_vcpus(vcpus: usize) -> Self {
        Self {
            millicpus: u32::try_from(vcpus.saturating_mul(1000)).unwrap_or(u32::MAX),
            threads: MAX_THREADS,
            groups: u64::MAX,
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// There is a new thread, ready to run; the one that made it runs on this vCPU.
    Spawn {
        /// The new one.
        thread: ThreadId,
        /// Where its maker runs.
        by: VcpuId,
    },
    /// A blocked thread is ready again.
    Wake {
        /// Which one.
        thread: ThreadId,
        /// Where the thread runs that woke it; `None` for a timer or a device.
        by: Option<VcpuId>,
    },
    /// A thread waits for something. What it waits for is not a page: then it keeps its vCPU.
    Block {
        /// Which one.
        thread: ThreadId,
    },
    /// A thread is done.
    Exit {
        /// Which one.
        thread: ThreadId,
    },
    /// A vCPU's timer: every few milliseconds, whether it has something to run or not.
    Tick {
        /// Which vCPU.
        vcpu: VcpuId,
    },
    /// A vCPU looks for something to run, again.
    Idle {
        /// Which vCPU.
        vcpu: VcpuId,
    },
    /// The thread that a vCPU runs has used so much processor time since that was last said of the vCPU, or
    /// since it began to run the thread. What it did not use of the time it waited for something that nobody
    /// else could use the vCPU for.
    Ran {
        /// Which vCPU.
        vcpu: VcpuId,
        /// Processor time, in ns.
        cpu: Nanos,
    },
    /// A thread had remote faults.
    Faults(Faults),
    /// The cost of a remote fault between two nodes was measured.
    Link {
        /// One end.
        a: NodeId,
        /// The other.
        b: NodeId,
        /// What a fault takes.
        cost: Nanos,
    },
    /// What a node can take has changed.
    Capacity {
        /// Which node.
        node: NodeId,
        /// From now on.
        capacity: Capacity,
    },
}

/// What is to be done. Decisions are carried out in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// From now on a vCPU runs this thread; `None`: it has nothing to run.
    Run {
        /// The vCPU.
        vcpu: VcpuId,
        /// The thread.
        thread: Option<ThreadId>,
    },
    /// A thread belongs to another vCPU now. If it runs, the next decisions say what becomes of it.
    Migrate {
        /// The thread.
        thread: ThreadId,
        /// Where it was.
        from: VcpuId,
        /// Where it is to run.
        to: VcpuId,
    },
    /// The home of a group of pages should be this node. A wish: not every protocol can.
    Rehome {
        /// The pages.
        group: PageGroup,
        /// Their home from now on.
        to: NodeId,
    },
}

/// An event that cannot be. It changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// There is no such vCPU.
    #[error("the machine has no vCPU {0}")]
    Vcpu(VcpuId),
    /// There is no such node.
    #[error("the machine has no node {0}")]
    Node(NodeId),
    /// There is no such thread.
    #[error("there is no thread {0}: it was not spawned, or is done")]
    Unknown(ThreadId),
    /// There is such a thread already.
    #[error("thread {0} was spawned twice")]
    Twice(ThreadId),
    /// Too many threads.
    #[error("thread {0} is one too many: a scheduler knows {MAX_THREADS}")]
    Full(ThreadId),
    /// A thread that does not wait was woken.
    #[error("thread {0} was woken but is not blocked")]
    Awake(ThreadId),
    /// A thread that does not run cannot come to wait.
    #[error("thread {0} blocked but does not run")]
    NotRunning(ThreadId),
}

/// Decides which thread runs where: a state machine without clock or thread.
///
/// A caller passes the events of one machine in the order of their times, and carries out what it
/// is told before the next. The same events lead to the same decisions.
pub trait Scheduler {
    /// Its name, for tables and traces.
    fn name(&self) -> &'static str;

    /// Takes an event that happened at `now` and adds what is to be done to `out`.
    ///
    /// # Errors
    /// [`EventError`] for an event that cannot be; it leaves no trace.
    fn handle(
        &mut self,
        now: Nanos,
        event: Event,
        out: &mut Vec<Decision>,
    ) -> Result<(), EventError>;
}
