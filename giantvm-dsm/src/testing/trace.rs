//! What happened, one line an event.

use std::collections::VecDeque;
use std::fmt;

use giantvm_core::{NodeId, PageIndex};

use super::chaos::Chaos;
use super::config::Op;
use super::network::Event;
use super::terse::terse;
use crate::protocol::{Command, PageMessage, Tick};

/// Most lines that are kept: the last ones.
const LIMIT: usize = 20_000;

#[derive(Debug)]
enum What<M> {
    Happened(Event<M>),
    Accessed {
        at: NodeId,
        op: Op,
        /// The value read or written; `None` if it faulted.
        value: Option<u64>,
    },
}

#[derive(Debug)]
struct Line<M> {
    now: Tick,
    what: What<M>,
    commands: Vec<Command<M>>,
}

/// The last lines of a run.
#[derive(Debug)]
pub(super) struct Trace<M>(VecDeque<Line<M>>);

impl<M: PageMessage> Trace<M> {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Notes an event and what the protocol made of it.
    pub(super) fn event(&mut self, now: Tick, event: Event<M>, commands: &[Command<M>]) {
        let (what, commands) = (What::Happened(event), commands.to_vec());
        self.push(Line {
            now,
            what,
            commands,
        });
    }

    /// Notes an access of a thread.
    pub(super) fn access(&mut self, now: Tick, at: NodeId, op: Op, value: Option<u64>) {
        let (what, commands) = (What::Accessed { at, op, value }, Vec::new());
        self.push(Line {
            now,
            what,
            commands,
        });
    }

    fn push(&mut self, line: Line<M>) {
        if self.0.len() == LIMIT {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    /// The lines about `page`, or all of them; those about no page are always in.
    pub(super) fn lines(&self, page: Option<PageIndex>) -> Vec<String> {
        let about = |line: &&Line<M>| page.is_none() || line.page().is_none_or(|p| Some(p) == page);
        self.0.iter().filter(about).map(Line::to_string).collect()
    }
}

impl<M: PageMessage> Line<M> {
    fn page(&self) -> Option<PageIndex> {
        match &self.what {
            What::Accessed { op, .. } => Some(op.page),
            What::Happened(Event::Deliver { letter, .. }) => Some(letter.message.page()),
            What::Happened(Event::Fault { fault, .. }) => Some(fault.page),
            What::Happened(
                Event::Unpin { page, .. }
                | Event::Chaos(Chaos::Evict { page, .. } | Chaos::Pin { page, .. }),
            ) => Some(*page),
            What::Happened(_) => None,
        }
    }
}

impl<M: PageMessage> What<M> {
    /// The node it happens at, if it is one.
    const fn at(&self) -> Option<NodeId> {
        match self {
            Self::Accessed { at, .. } => Some(*at),
            Self::Happened(event) => match event {
                Event::Deliver { to, .. } | Event::Heard { to, .. } => Some(*to),
                Event::Fault { at, .. }
                | Event::Run { at, .. }
                | Event::Timeout { at }
                | Event::Unpin { at, .. }
                | Event::Leaving { at, .. }
                | Event::Lost { at, .. } => Some(*at),
                Event::Chaos(_) => None,
            },
        }
    }
}

impl<M: PageMessage> fmt::Display for What<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accessed { op, value, .. } => {
                let (access, page, word) = (op.access, op.page, op.word);
                write!(f, "thread {}: {access:?} {page}.{word} ", op.thread)?;
                match value {
                    Some(value) => write!(f, "= {value}"),
                    None => f.write_str("faults"),
                }
            }
            Self::Happened(Event::Deliver { letter, .. }) => {
                write!(f, "from node {}: {}", letter.from, terse(&letter.message))?;
                f.write_str(match letter.payload {
                    Some(_) => " + page",
                    None => "",
                })
            }
            Self::Happened(Event::Heard { from, stamp, .. }) => {
                write!(f, "from node {from}: signal of logical time {stamp}")
            }
            Self::Happened(Event::Fault { fault, .. }) => {
                write!(f, "{:?} fault on {}", fault.access, fault.page)
            }
            Self::Happened(Event::Run { thread, .. }) => write!(f, "thread {thread}"),
            Self::Happened(Event::Timeout { .. }) => f.write_str("time-out"),
            Self::Happened(Event::Leaving { .. }) => f.write_str("goes on leaving"),
            Self::Happened(Event::Unpin { page, .. }) => write!(f, "{page} unpinned"),
            Self::Happened(Event::Chaos(chaos)) => write!(f, "{chaos}"),
            Self::Happened(Event::Lost { node, .. }) => write!(f, "loses node {node}"),
        }
    }
}

impl<M: PageMessage> fmt::Display for Line<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.what.at().map(|at| format!("node {at}"));
        let (at, what) = (at.unwrap_or_default(), self.what.to_string());
        write!(f, "{:>10}  {at:<7}  ", self.now.0)?;
        if self.commands.is_empty() {
            return f.write_str(&what);
        }
        write!(f, "{what:<40}")?;
        for (position, command) in self.commands.iter().enumerate() {
            f.write_str(if position == 0 { " => " } else { "; " })?;
            match command {
                Command::Send { to, message, .. } => {
                    write!(f, "to node {to}: {}", terse(message))?;
                }
                Command::Linger { .. } => f.write_str("Linger")?,
                Command::Store { .. } => f.write_str("Store")?,
                Command::Map { rights, .. } => write!(f, "Map {rights:?}")?,
                Command::MapZero { rights, .. } => write!(f, "MapZero {rights:?}")?,
                Command::Protect { .. } => f.write_str("Protect")?,
                Command::Unprotect { .. } => f.write_str("Unprotect")?,
                Command::Unmap { frame, .. } => write!(f, "Unmap {frame:?}")?,
                Command::Wake { .. } => f.write_str("Wake")?,
                Command::Poison { .. } => f.write_str("Poison")?,
            }
        }
        Ok(())
    }
}
