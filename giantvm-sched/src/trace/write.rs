//! Traces to text.

use std::fmt;

use super::{Trace, VERSION};
use crate::schedule::Event;

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "giantvm-sched-trace {VERSION}\nmachine")?;
        for node in self.machine.nodes() {
            write!(f, " {}", self.machine.vcpus_of(node).count())?;
        }
        writeln!(f)?;
        for (now, event) in &self.events {
            write!(f, "{now} ")?;
            write_event(f, event)?;
            writeln!(f)?;
        }
        Ok(())
    }
}

fn write_event(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    match event {
        Event::Spawn { thread, by } => write!(f, "spawn {thread} {by}"),
        Event::Wake {
            thread,
            by: Some(by),
        } => write!(f, "wake {thread} {by}"),
        Event::Wake { thread, by: None } => write!(f, "wake {thread} -"),
        Event::Block { thread } => write!(f, "block {thread}"),
        Event::Exit { thread } => write!(f, "exit {thread}"),
        Event::Tick { vcpu } => write!(f, "tick {vcpu}"),
        Event::Idle { vcpu } => write!(f, "idle {vcpu}"),
        Event::Ran { vcpu, cpu } => write!(f, "ran {vcpu} {cpu}"),
        Event::Faults(of) => write!(
            f,
            "faults {} {} {} {} {} {}",
            of.thread, of.group, of.reads, of.writes, of.stall, of.home
        ),
        Event::Link { a, b, cost } => write!(f, "link {a} {b} {cost}"),
        Event::Capacity { node, capacity } => write!(
            f,
            "capacity {node} {} {} {}",
            capacity.millicpus, capacity.threads, capacity.groups
        ),
    }
}
