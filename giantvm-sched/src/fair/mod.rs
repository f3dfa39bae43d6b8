//! An honest model of what Linux does with ordinary threads by default.
//!
//! Its facts are those of `kernel/sched` up to version 6.6 as its documentation, its history and
//! Lozi and others ("The Linux Scheduler: a Decade of Wasted Cores", EuroSys 2016) tell them. The
//! guest that it models sees one NUMA node a host, whose vCPUs share a last-level cache.
//!
//! **Modelled**
//!
//! * *Fork*: the maker's node, while no more than a quarter of its vCPUs are busy; else the
//!   node with the fewest threads for its vCPUs; there, the idlest vCPU.
//! * *Wake affinity*: the waker's vCPU and the one where the thread ran last are compared. The
//!   waker's if that is idle and on the same node; or if it is less loaded, by more than half of the
//!   domain's imbalance of 25 %; else the last one. Devices and timers do not pull.
//! * *Wake wide*: who wakes many others, more than a node has vCPUs, does not pull.
//! * *An idle sibling*: from there, the first idle vCPU of the same node, if there is one.
//! * *New idle*: a vCPU whose queue becomes empty takes one thread from the longest queue, of its
//!   node or else of others, unless it is idle for less than such a search takes on average of late,
//!   for which 50 us are assumed.
//! * *Periodic balance* by domains, node and machine: every as many milliseconds as the domain has
//!   vCPUs, 16 times less often while the vCPU is busy. The busiest group for its size counts if it is
//!   above 117 % of the own load within a node, and 125 % between them, and half of the difference is
//!   taken, at most 32 threads. Between nodes one thread more is no imbalance.
//! * *Cache-hot* threads, which ran within 500 us, are not taken, unless three balances failed.
//! * *Turns* of 3 ms, where several threads want one vCPU.
//!
//! **Not modelled**
//!
//! * Virtual run time, deadlines, priorities, groups and quotas: all threads are equal and take
//!   turns, so a woken thread does not preempt another.
//! * Load as a decaying average: queues count threads. It makes the model quicker than Linux.
//! * Active balance, which stops a running thread to move it, and the help of idle vCPUs for others.
//! * Automatic NUMA balancing. It counts faults that it provokes on pages of the guest's nodes, and
//!   under DSM a page is where it was last used, whatever the guest's tables say.
//! * Hyperthreads, processors of different speed, energy, real-time classes, `sched_ext`.

mod balance;
mod scheduler;
mod select;

pub use scheduler::Fair;

use crate::schedule::Nanos;

/// Threads that ran so recently are cache-hot (`sched_migration_cost`).
const HOT: Nanos = Nanos(500_000);
