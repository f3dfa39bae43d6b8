//! DaS, the DSM-aware scheduler: threads go where the pages are that they wait for.
//!
//! A page that threads on two nodes write by turns goes to and fro, and each turn costs a round trip
//! of the network. Where threads are placed by load alone, that is most of the time of a program that
//! shares. GiantVM's authors have a scheduler in the guest that knows, and report up to 3.5 times the
//! speed (Jia and others, "GiantVM: A Novel Distributed Hypervisor for Resource Aggregation with
//! DSM-aware Optimizations", ACM TACO 2022). How it decides is not published; this is our own. "How
//! DaS decides", `docs/das.md`, explains it with an example.
//!
//! # Inputs
//!
//! * Remote faults of each thread by group of pages: loads, stores, stall, the pages' home.
//! * What each thread computes of the time that it has a vCPU, if somebody says so.
//! * Which threads can run, and since when; what each node can take; what each link costs.
//! * The time, as an argument. Nothing here reads a clock.
//!
//! # State
//!
//! * *Evidence*: for each thread at most 256 groups with sums that halve every 16 periods. A group is
//!   a *use* once faults came in two different periods, as Linux moves a page only after two
//!   accesses from the same node. Groups whose users are all on one node cannot be faulted on, so
//!   they fade 16 times slower: otherwise a success would be forgotten, undone, and found again.
//! * *Seats*: each thread's node, its demand of a processor, what it gets done, when it was moved and from where, and until
//!   when it stays with those that it shares pages with.
//!
//! # Decision
//!
//! Once a period:
//!
//! 1. The evidence becomes a *graph* of threads and homes; an edge is time lost by the two not being
//!    together, in ns a second. Threads that share are found from faults alone, as Thread Clustering
//!    does from cache misses (Tam, Azimi, Stumm, EuroSys 2007).
//! 2. An assignment's *cost* is the time that is lost to memory, by edges times distances, and to
//!    processors, by threads that are too many. Both in one unit, so that crowding and waiting for
//!    pages are weighed and not traded by a rule. That contention counts as well as distance is
//!    the lesson of Carrefour (Dashti and others, ASPLOS 2013).
//! 3. A *search* takes the best step, then the next: one thread, two that change places, a group that
//!    gathers, a home that comes to its users.
//! 4. A step is taken only if it saves, within the horizon, twice of what it costs, and if what the
//!    movers lose goes down to three quarters: the 3:4 that Linux' NUMA balancing asks for, too.
//! 5. One more step is compared with those: all threads that share pages at all go to one node, if what they compute now,
//!    which is measured, is no more than three quarters of what that node gives them (`search/teams.rs`). Lost time cannot
//!    tell that: where many threads share few vCPUs, those that stall keep others from nothing.
//!
//! # Outputs
//!
//! A [`Plan`]: moves with the gain that they are expected to bring, what they cost, and [`Why`].
//! [`Das`] carries it out with run queues; a host or an agent does so by other means.
//!
//! # Invariants
//!
//! Each has a test that holds them for arbitrary input, most in `tests/das_planner.rs`.
//!
//! * Every step lessens what is lost by at least the least gain, so with constant input there is a
//!   bounded number of moves, and then none.
//! * No thread is moved twice in a plan, nor before its residency is over, which doubles with each
//!   further move. A team that comes together does not wait for that, but then none of its threads moves for eight
//!   residencies, or twice as many as the last time, unless it is found to be part of a larger one. So whatever the input does, moves of a thread become rare as soon as
//!   they are many.
//! * A group's home is asked to move once while it is known.
//! * No node is given more threads, or homes, than it takes.
//! * No evidence and no node with too many threads: nothing is weighed.
//! * The same input leads to the same plans: all arithmetic is on integers but for one constant.
//! * Memory and time are bounded: [`MAX_THREADS`](crate::schedule::MAX_THREADS) threads, 256 groups
//!   of each, 16 users of a group that are paired, a limited number of steps.

mod cluster;
mod cost;
mod decay;
mod doing;
mod evidence;
mod graph;
mod params;
mod plan;
mod planner;
mod scheduler;
mod search;
mod seat;

pub use params::Parameters;
pub use plan::{Move, Plan, Step, Why};
pub use planner::Planner;
pub use scheduler::Das;
