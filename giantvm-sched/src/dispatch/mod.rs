//! From decisions to running threads: which thread each vCPU is to run now.
//!
//! A [`Scheduler`] says who should run where the moment that an event comes. A thread that is running
//! elsewhere cannot come at once: its vCPU has to let go of it first, at its next report. And threads
//! of a team wait for one another. [`Dispatcher`] keeps the two in step: vCPUs [report](Report) when a
//! thread of theirs stops, events go to the scheduler, and each vCPU that waits is [told](Go) to run a
//! thread as soon as that thread is free.
//!
//! It is a state machine without clock or thread, as schedulers are. Whoever reports waits until it is
//! told to go on, so at most one word a vCPU is under way, and a thread is with one vCPU or with none.
//!
//! A thread whose turn was ended while it still ran may come to wait although the scheduler takes it for
//! ready. Then it is *late*: when its turn comes, it blocks at once, as it would if it had to run to get
//! to its barrier.

mod dispatcher;

pub use dispatcher::Dispatcher;

use giantvm_core::VcpuId;

use crate::schedule::{EventError, MAX_THREADS, Scheduler, ThreadId};

/// What a vCPU says when it has no thread to run, or gives one back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// It is there, and has no thread.
    Idle,
    /// It makes a team of so many threads, numbered from 0. It is there, and has no thread.
    Spawn(u32),
    /// Its thread's slice may be over.
    Tick,
    /// Its thread waits until all others of its team came to the same point.
    Meet,
    /// Its thread is done.
    Exit,
}

/// What a vCPU that waits is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Go {
    /// The vCPU.
    pub vcpu: VcpuId,
    /// The thread that it runs now; `None` if all threads are done.
    pub thread: Option<ThreadId>,
}

/// A report that cannot be. It changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// There is no such vCPU.
    #[error("the machine has no vCPU {0}")]
    Vcpu(VcpuId),
    /// A vCPU that waits to be told what to run cannot say anything.
    #[error("vCPU {0} said something while it waited")]
    Waits(VcpuId),
    /// A vCPU without a thread said something about it, or one with a thread that it has none.
    #[error("vCPU {vcpu} said {report:?} {}", if *.holds { "while it ran a thread" } else { "but ran no thread" })]
    Thread {
        /// Who said it.
        vcpu: VcpuId,
        /// What it said.
        report: Report,
        /// Whether it ran a thread.
        holds: bool,
    },
    /// A second team, one without threads, or one with too many.
    #[error("a team of {0} threads: there is one, of 1 to {MAX_THREADS}")]
    Team(u32),
    /// The scheduler refused an event.
    #[error(transparent)]
    Event(#[from] EventError),
}
