//! Recorded events, which replay to the same decisions.
//!
//! A trace is text, one event a line, so that it can be read, cut and compared:
//!
//! ```text
//! giantvm-sched-trace 1
//! machine 2 2
//! 0 spawn 1 0
//! 4000000 tick 0
//! 10000000 faults 1 0x2a 12 3 300000 1
//! ```
//!
//! The first line names the format and its version, the second the vCPUs of each node. Then each
//! line has the time in ns, never less than the one before, what happened, and its numbers, all
//! decimal but page groups:
//!
//! | event | numbers |
//! |---|---|
//! | `spawn` | thread, the maker's vCPU |
//! | `wake` | thread, the waker's vCPU or `-` |
//! | `block`, `exit` | thread |
//! | `tick`, `idle` | vCPU |
//! | `faults` | thread, page group, reads, writes, stall in ns, home node |
//! | `link` | node, node, cost in ns |
//! | `capacity` | node, thousandths of processors, threads, page groups |
//!
//! [`Trace::parse`] is total: any text is a trace or an error with its line. What it takes is bounded
//! by [`MAX_EVENTS`].

mod parse;
mod recorder;
mod replay;
mod write;

pub use parse::{TraceError, TraceProblem};
pub use recorder::Recorder;
pub use replay::Replay;

use crate::schedule::{Event, Machine, Nanos};

/// The version of the format.
pub const VERSION: u32 = 1;
/// Most events of a trace.
pub const MAX_EVENTS: usize = 1 << 20;
/// The longest line, in bytes.
pub const MAX_LINE: usize = 320;

/// What happened on a machine, in the order of time.
///
/// ```
/// use giantvm_sched::fair::Fair;
/// use giantvm_sched::trace::Trace;
///
/// let text = "giantvm-sched-trace 1\nmachine 1 1\n0 spawn 1 0\n5 spawn 2 0\n";
/// let trace = Trace::parse(text)?;
/// let replay = trace.replay(&mut Fair::new(trace.machine().clone()));
/// assert_eq!(replay.decisions.len(), 2);
/// assert_eq!(trace.to_string(), text);
/// # Ok::<(), giantvm_sched::trace::TraceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    machine: Machine,
    events: Vec<(Nanos, Event)>,
}

impl Trace {
    /// An empty trace of a machine. Links that were measured before become its first events.
    #[must_use]
    pub fn new(machine: &Machine) -> Self {
        let mut trace = Self {
            machine: bare(machine),
            events: Vec::new(),
        };
        let pairs = machine
            .nodes()
            .flat_map(|a| machine.nodes().map(move |b| (a, b)));
        for (a, b) in pairs.filter(|(a, b)| a < b) {
            let cost = machine.link(a, b);
            if cost != trace.machine.link(a, b) {
                trace.events.push((Nanos(0), Event::Link { a, b, cost }));
            }
        }
        trace
    }

    /// The machine, without links that were measured: those are events.
    #[must_use]
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The events and when they happened.
    #[must_use]
    pub fn events(&self) -> &[(Nanos, Event)] {
        &self.events
    }

    /// Adds an event. Returns whether it was taken: not before the last one, and not after
    /// [`MAX_EVENTS`].
    pub fn push(&mut self, now: Nanos, event: Event) -> bool {
        let in_order = self.events.last().is_none_or(|&(last, _)| last <= now);
        let fits = in_order && self.events.len() < MAX_EVENTS;
        if fits {
            self.events.push((now, event));
        }
        fits
    }
}

/// A machine with the same vCPUs whose links no one has measured.
fn bare(machine: &Machine) -> Machine {
    let mut bare = machine.clone();
    for (a, b) in machine
        .nodes()
        .flat_map(|a| machine.nodes().map(move |b| (a, b)))
    {
        bare.set_link(a, b, crate::schedule::DEFAULT_LINK);
    }
    bare
}
